from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from nas.networks.parameter_and_flop_count import count_params, measure_cost
from nas.results.dataset_summary import DatasetSummary
from nas.results.network_cost import Cost
from nas.space.architecture import Architecture
from nas.space.convolutional_architecture import ConvolutionalArchitecture
from nas.space.gene_domains import RandomSuggester
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace
from nas.worker.trainer.search_space_preview import preview_space, smallest_genome
from tests.enumeration import every_genome
from tests.search_spaces import SMALL_CNN

DATASET_SUMMARY = DatasetSummary("digits", tuple("0123456789"), 1, 8, 8, (10,) * 10, (2,) * 10, 5, (0.3,), (0.4,))


def unmeasured(architecture: Architecture, names: Sequence[str]) -> Cost:
    raise AssertionError("no further cost is limited")


def _params(genome: Genome, num_classes: int) -> int:
    return count_params(genome.architecture, 1, num_classes)


@pytest.mark.parametrize("num_classes", [2, 62])
def test_no_random_genome_is_smaller(num_classes: int) -> None:
    smallest = _params(smallest_genome(SMALL_CNN, lambda genome: _params(genome, num_classes)), num_classes)
    drawn = [_params(SMALL_CNN.sample(RandomSuggester(seed)), num_classes) for seed in range(200)]
    assert smallest <= min(drawn)
    assert smallest < max(drawn) / 10


SHARED: dict[str, Any] = {
    "num_stages": [2, 3], "width": [4, 8], "depth": {"low": 1, "high": 2}, "stem_width": 8, "factorized": [True, False],
    "normalization": ["batch", "none"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("genes", "num_classes"),
    [
        ({"family": "vgg", **SHARED}, 3),
        ({"family": "resnet", **SHARED, "num_stages": 2}, 3),
        ({"family": "mobilenet", **SHARED, "num_stages": 2, "expansion": [2, 1], "kernel_size": [5, 3]}, 3),
        ({"family": "densenet", **SHARED, "width": 4, "growth_rate": [4, 2], "compression": [1.0, 0.5]}, 3),
        # Skipped stages, strides that cost a projection, and blocks of other widths.
        (
            {
                "family": ["vgg", "resnet"],
                "width": [4, 8],
                "stem_width": 4,
                "num_stages": 2,
                "depth": [0, 1],
                "stem_stride": [1, 2],
                "stride": [1, 2],
            },
            3,
        ),
        (
            {
                "family": "resnet",
                "width": 4,
                "stem_width": 4,
                "num_stages": 2,
                "stride": [2, 1],
                "downsampling": ["strided", "average"],
                "preactivated": [True, False],
                "bottleneck": [2.0, 1.0],
                "squeeze_ratio": [0.5, 0.0],
                "normalization": ["batch", "none"],
            },
            3,
        ),
        ({"family": "densenet", "num_stages": 4, "depth": [0, 1], "stem_width": 64, "growth_rate": 2}, 500),
        # With many classes, a narrower input of the classifier is smaller: a hidden layer, a further transition.
        (
            {
                "family": ["vgg", "densenet"],
                "width": 64,
                "stem_width": 64,
                "head_layers": {"low": 0, "high": 2},
                "head_width": 8,
            },
            500,
        ),
        ({"family": "vgg", "width": 64, "stem_width": 64, "head_layers": [0, 1, 2], "head_width": [8, 4]}, 500),
        ({"family": "densenet", "num_stages": {"low": 2, "high": 4}, "stem_width": 64, "growth_rate": 2}, 500),
    ],
)
def test_no_genome_of_a_tiny_space_is_smaller(genes: dict[str, Any], num_classes: int) -> None:
    space = SearchSpace.parse({"architecture": genes})
    sizes = [_params(genome, num_classes) for genome in every_genome(space)]
    smallest = smallest_genome(space, lambda genome: _params(genome, num_classes))
    assert _params(smallest, num_classes) == min(sizes)
    assert len(set(sizes)) > 2


def test_the_preview_costs_what_its_genomes_cost() -> None:
    preview = preview_space(SMALL_CNN, DATASET_SUMMARY, {"params": 200_000}, 6, unmeasured)
    assert len(preview.samples) == 6
    for sample in (preview.smallest, *preview.samples):
        assert sample.cost == measure_cost(sample.genome.architecture, 1, 10, 8, 8)
    within = sum(sample.cost.params <= 200_000 for sample in preview.samples)
    assert preview.share_within_budget == within / 6
    assert 0 < within < 6


def test_strides_are_feasible_for_the_images() -> None:
    genes = {"family": ["vgg", "densenet"], "num_stages": 4, "stem_stride": 2, "stride": 2, "width": [8, 16]}
    preview = preview_space(SearchSpace.parse({"architecture": genes}), DATASET_SUMMARY, {}, 4, unmeasured)
    for sample in (preview.smallest, *preview.samples):
        assert isinstance(sample.genome.architecture, ConvolutionalArchitecture)
        assert sample.genome.architecture.map_sizes((8, 8)) == ((4, 4),) * 5


def test_without_a_budget_everything_is_within_it() -> None:
    space = SearchSpace.parse({"architecture": {"family": "vgg"}})
    assert preview_space(space, DATASET_SUMMARY, {}, 1, unmeasured).share_within_budget == 1.0
    assert preview_space(space, DATASET_SUMMARY, {"params": 1}, 1, unmeasured).share_within_budget == 0.0
    assert preview_space(space, DATASET_SUMMARY, {"params": 1}, 0, unmeasured).samples == ()


@pytest.mark.parametrize(
    ("genes", "weight", "family"),
    [
        # Kernels of two channels instead of one cost less than two sets of features.
        ({"width": 64, "stem_width": 8}, 0.0, "vgg"),
        ({"width": 4, "stem_width": 64, "kernel_size": 7}, 0.0, "siamese vgg"),
        # Auxiliary classifiers do not count.
        ({"width": 64, "stem_width": 8}, 0.3, "vgg"),
    ],
)
def test_the_smallest_network_of_pairs_may_be_siamese_or_not(genes: dict[str, Any], weight: float, family: str) -> None:
    dataset_summary = replace(DATASET_SUMMARY, channels=2, classes=("no", "yes"), part_classes=DATASET_SUMMARY.classes)
    architecture = {"family": "vgg", "siamese": [True, False], "comparison_width": [8, 0], **genes}
    space = SearchSpace.parse({"architecture": architecture, "recipe": {"auxiliary_weight": weight}})
    params = [count_params(genome.architecture, 2, 2, num_part_classes=10) for genome in every_genome(space)]
    smallest = preview_space(space, dataset_summary, {}, 1, unmeasured).smallest
    assert smallest.cost.params == min(params)
    assert params.count(min(params)) == 1
    assert smallest.genome.family == family
