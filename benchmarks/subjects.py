"""Networks and data of the training benchmarks."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from nas.data.labelled_images import Split
from nas.data.load_dataset import load_data
from nas.data.normalization import Normalization
from nas.networks.parameter_and_flop_count import measure_cost
from nas.results.network_cost import Cost
from nas.space.architecture import Architecture
from nas.space.gene_domains import RandomSuggester
from nas.space.search_space import SearchSpace
from nas.study.data_spec import DataSpec
from nas.training.training_inputs import TrainingTask

SPACE = Path(__file__).parent.parent / "search_spaces" / "small_cnn.toml"
SIZE = (28, 28)
"""Rows and columns of EMNIST's images."""


def load_task(path: Path | None, num_train: int, num_validation: int) -> TrainingTask:
    """Load images of a file, or create random images of EMNIST's shape."""
    if path is None:
        return random_task(num_train, num_validation)
    spec = DataSpec(source="npz", path=str(path), max_train_images=num_train, max_validation_images=num_validation)
    data = load_data(spec, Path(tempfile.gettempdir()))
    return TrainingTask(data.train, data.validation, data.classes, Normalization.of(data.train.images))


def random_task(num_train: int, num_validation: int) -> TrainingTask:
    """Task of random images, 28×28 pixels, in 62 classes."""
    generator = torch.Generator().manual_seed(0)
    shape = (num_train + num_validation, 1, 28, 28)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 62, shape[:1], generator=generator)
    train, validation = (Split(images[part], labels[part]) for part in (slice(num_train), slice(num_train, None)))
    return TrainingTask(train, validation, tuple(str(label) for label in range(62)), Normalization.of(train.images))


def sample_architectures(per_family: int, most_params: int = 1_000_000) -> list[Architecture]:
    """First networks of each family among random samples of the search space."""
    space = SearchSpace.load(SPACE)
    by_family: dict[str, list[Architecture]] = {family: [] for family in space.families}
    seed = 0
    while any(len(architectures) < per_family for architectures in by_family.values()):
        architecture = space.sample(RandomSuggester(seed), SIZE).architecture
        seed += 1
        family_architectures = by_family[architecture.family]
        if len(family_architectures) < per_family and cost_of(architecture).params <= most_params:
            family_architectures.append(architecture)
    return [architecture for architectures in by_family.values() for architecture in architectures]


def cost_of(architecture: Architecture) -> Cost:
    """Cost of an architecture at EMNIST's image size."""
    return measure_cost(architecture, 1, 62, *SIZE)
