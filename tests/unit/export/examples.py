"""Untrained networks with random parameters, and their weights files."""

from __future__ import annotations

from pathlib import Path

import torch

from nas.data.normalization import channel_statistics
from nas.export.metadata import Origin
from nas.networks.build_network import build_network
from nas.networks.network_interface import Network
from nas.results.dataset_summary import DatasetSummary
from nas.space.architecture import Architecture, PairArchitecture
from nas.space.genome import Genome
from nas.space.recipe import Recipe
from nas.training.checkpoints.weights_file import WeightsMetadata, save_weights
from tests.unit.training.examples import digits_task

TASK = digits_task(160)
MEAN, STD = channel_statistics(TASK.train.images)
SUMMARY = DatasetSummary(
    "digits", TASK.classes, 1, 8, 8, TASK.train.class_counts(10), (20,) * 10, 0,
    tuple(MEAN.tolist()), tuple(STD.tolist()),
)  # fmt: skip
ORIGIN = Origin("digits", 7, fitted=False)


def random_network(
    architecture: Architecture, channels: int = 1, num_classes: int = 10, size: tuple[int, int] | None = None,
    num_part_classes: int = 0,
) -> Network:  # fmt: skip
    """Network with random normalisation statistics, weights and biases in place of the initial zeros and ones."""
    torch.manual_seed(0)
    network = build_network(architecture, channels, num_classes, size, num_part_classes)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 2.0)
            elif name.endswith(("running_mean", "bias")):
                tensor.normal_(std=0.3)
            elif tensor.is_floating_point() and tensor.ndim == 1:
                tensor.uniform_(0.5, 1.5)
    return network.eval()


def random_weights_file(
    path: Path, architecture: Architecture, channels: int = 1, height: int = 8, width: int = 8, num_images: int = 5
) -> Path:
    """Write a weights file of `random_network` with random images."""
    network = random_network(architecture, channels, 3, (height, width))
    summary = DatasetSummary(
        "x", ("cat", "dog", "emu"), channels, height, width, (5,) * 3, (1,) * 3, 0, (0.3,) * channels, (0.4,) * channels
    )
    images = torch.randint(256, (num_images, channels, height, width), dtype=torch.uint8)
    save_weights(path, network, WeightsMetadata(Genome(architecture=architecture), summary, {"f1_macro": 0.25}), images)
    return path


def random_pair_weights_file(
    path: Path, architecture: Architecture, channels: int = 1, height: int = 8, width: int = 8
) -> Path:
    """Write a weights file of a network that compares the classes of two images, with random images."""
    network = random_network(architecture, 2 * channels, 2, (height, width), num_part_classes=3)
    summary = DatasetSummary(
        "pairs", ("different", "same"), 2 * channels, height, width, (5,) * 2, (1,) * 2, 0, (0.3,) * 2 * channels,
        (0.4,) * 2 * channels, ("cat", "dog", "emu"),
    )  # fmt: skip
    images = torch.randint(256, (5, 2 * channels, height, width), dtype=torch.uint8)
    has_auxiliary = isinstance(architecture, PairArchitecture) and architecture.auxiliary
    genome = Genome(architecture=architecture, recipe=Recipe(auxiliary_weight=0.3 if has_auxiliary else 0.0))
    save_weights(path, network, WeightsMetadata(genome, summary, {"f1_macro": 0.25}), images)
    return path
