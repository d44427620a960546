from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FixedTrial

from nas.space.gene_domains import RandomSuggester
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace
from nas.space.start_genomes import translate_start, whole_table
from tests.enumeration import every_genome
from tests.search_spaces import FORMER_SMALL_CNN, SMALL_CNN

STRIDED = SearchSpace.parse(
    {
        "architecture": {
            "family": ["vgg", "resnet"],
            "num_stages": [2, 3],
            "stem_stride": [1, 2],
            "stride": [1, 2],
            "resnet": {"stride": 2},
        },
    }
)
PAIRS = SearchSpace.parse(
    {
        "architecture": {"family": ["vgg", "densenet"], "siamese": [True, False], "comparison_width": [64, 0]},
        "recipe": {"auxiliary_weight": [0.0, 0.1]},
    }
)
RESNET = {"family": "resnet", "stem_width": 24, "depths": [1, 2], "widths": [16, 96], "kernel_size": 5}


def parameters_of(space: SearchSpace, table: dict[str, Any], size: tuple[int, int] | None = None) -> dict[str, Any]:
    start = translate_start(space, table, size)
    assert start.faults == ()
    return dict(start.parameters)


def faults_of(space: SearchSpace, table: dict[str, Any], size: tuple[int, int] | None = None) -> list[str]:
    return list(translate_start(space, table, size).faults)


@pytest.mark.parametrize("space", [SMALL_CNN, FORMER_SMALL_CNN], ids=["small_cnn", "small_cnn of version 0.1.0"])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_genome_of_a_space_is_translated_to_the_parameters_it_was_drawn_with(
    space: SearchSpace, seed: int
) -> None:
    genome = space.sample(RandomSuggester(seed))
    shown = Genome.from_json(json.dumps(genome.model_dump(mode="json", exclude_none=True)))
    assert space.sample(FixedTrial(parameters_of(space, whole_table(shown)))) == genome


@pytest.mark.parametrize("size", [(64, 64), (16, 16), (8, 8)])
def test_strides_that_small_images_change_are_in_the_space_and_others_are_not(size: tuple[int, int]) -> None:
    seen = set()
    for seed in range(40):
        genome = STRIDED.sample(RandomSuggester(seed), size)
        parameters = parameters_of(STRIDED, whole_table(genome), size)
        assert STRIDED.sample(FixedTrial(parameters), size) == genome
        seen.add(genome.key)
    assert len(seen) > 3


def test_pairs_are_translated() -> None:
    for genome in every_genome(PAIRS):
        assert PAIRS.sample(FixedTrial(parameters_of(PAIRS, whole_table(genome)))) == genome


def test_a_part_leaves_the_rest_open_and_fixed_genes_have_no_parameter() -> None:
    assert parameters_of(FORMER_SMALL_CNN, {"architecture": RESNET}) == {
        "family": "resnet", "stem_width": 24, "resnet.depth_1": 1, "resnet.depth_2": 2, "num_stages": 2,
        "resnet.width_1": 16, "resnet.width_2": 96, "kernel_size": 5,
    }  # fmt: skip
    recipe = {"optimizer": "sgd", "learning_rate": 0.2, "posthoc_adjustment": True, "augmentation": "shift"}
    assert parameters_of(FORMER_SMALL_CNN, {"recipe": recipe}) == {
        "optimizer": "sgd", "sgd.learning_rate": 0.2, "augmentation": "shift 1",
    }  # fmt: skip
    loss = {"loss": {"name": "focal", "gamma": 2}, "imbalance": "balanced_sampling"}
    assert parameters_of(FORMER_SMALL_CNN, {"recipe": loss}) == {
        "imbalance": "balanced_sampling", "balanced_sampling.loss": "focal", "gamma": 2.0,
    }  # fmt: skip
    # An option that an earlier open choice gives a domain of its own is set for each of them.
    assert parameters_of(FORMER_SMALL_CNN, {"recipe": {"loss": "focal"}}) == {
        "loss": "focal", "square_root_sampling.loss": "focal", "balanced_sampling.loss": "focal",
    }  # fmt: skip
    assert parameters_of(FORMER_SMALL_CNN, {"architecture": {"head_widths": [128]}}) == {
        "head_layers": 1,
        "head_width_1": 128,
    }
    assert parameters_of(FORMER_SMALL_CNN, {"architecture": {"depths": [2, 2, 2], "strides": [1, 2, 2]}}) == {
        "depth_1": 2, "depth_2": 2, "depth_3": 2, "resnet.depth_1": 2, "resnet.depth_2": 2, "resnet.depth_3": 2,
        "densenet.depth_1": 2, "densenet.depth_2": 2, "densenet.depth_3": 2, "num_stages": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"colour": 1}, "colour: unknown key; a start genome has architecture and recipe"),
        ({"recipe": 3}, "recipe: must be a table, not 3"),
        ({"architecture": {"family": "alexnet"}}, "architecture.family: input should be 'vgg', 'resnet', 'densenet'"),
        (
            {"architecture": {**RESNET, "widths": [16, 20]}},
            "architecture.widths[1]: 20, but the search space has 16 to 96 in steps of 8 for resnet",
        ),
        (
            {"architecture": {"widths": [16, 104], "family": "vgg", "depths": [1]}},
            "architecture.depths: 1 stages, but widths has 2",
        ),
        ({"architecture": {**RESNET, "depths": [1] * 5, "widths": [16] * 5}}, "architecture.depths: 5 stages, but the"),
        ({"architecture": {**RESNET, "widths": 16}}, "architecture.widths: must be a list, not 16"),
        ({"architecture": {**RESNET, "growth_rate": 8}}, "architecture.growth_rate: resnet has no growth_rate"),
        (
            {"architecture": {"growth_rate": 8}},
            "architecture.growth_rate: vgg has no growth_rate; give family as well",
        ),
        (
            {"architecture": {"depths": [2, 3]}},
            "architecture.depths[1]: 3, but the search space has 1 to 2 for resnet; give family as well",
        ),
        ({"architecture": {**RESNET, "width": 16}}, "architecture.width: unknown gene; known: family, depths, widths"),
        (
            {"architecture": {**RESNET, "squeeze_ratio": 0.25}},
            "architecture.squeeze_ratio: 0.25, but the search space has 0.0",
        ),
        ({"architecture": {**RESNET, "strides": [2, 2]}}, "architecture.strides: 2, 2, but the search space has 1, 2"),
        (
            {"architecture": {**RESNET, "head_widths": [64, 64]}},
            "architecture.head_widths: 2 hidden layers, but the search space has 0, 1",
        ),
        ({"recipe": {"learning_rates": 0.1}}, "recipe.learning_rates: unknown gene; known: imbalance, loss"),
        ({"recipe": {"gamma": 2.0}}, "recipe.gamma: a parameter of loss; write loss = { gamma = … }"),
        (
            {"recipe": {"loss": {"gamma": 2.0}}},
            "recipe.loss.gamma: cross_entropy takes no gamma; give loss.name as well",
        ),
        (
            {"recipe": {"loss": {"name": "focal", "label_smoothing": 0.1}}},
            "recipe.loss.label_smoothing: focal takes no label_smoothing: its weight (1 - p)^γ is defined by one true",
        ),
        ({"recipe": {"loss": {"colour": 2.0}}}, "recipe.loss.colour: unknown gene; known: name, label_smoothing"),
        (
            {"recipe": {"loss": "logit_adjustment"}},
            "recipe.loss: 'logit_adjustment', but the search space has 'cross_entropy', 'focal', 'all_class' for "
            "square_root_sampling; give imbalance as well",
        ),
        (
            {"recipe": {"imbalance": "balanced_sampling", "loss": "logit_adjustment"}},
            "recipe.loss: 'logit_adjustment', but the search space has 'cross_entropy', 'focal', 'all_class' for "
            "balanced_sampling",
        ),
        ({"recipe": {"loss": "ldam"}}, "recipe.loss: 'ldam', but the search space has 'cross_entropy', 'focal'"),
        (
            {"recipe": {"learning_rate": 0.1}},
            "recipe.learning_rate: 0.1, but the search space has 0.0005 to 0.01 for adamw; give optimizer as well",
        ),
        ({"recipe": {"batch_size": True}}, "recipe.batch_size: input should be a valid integer (given: True)"),
        ({"recipe": {"augmentation": "spin"}}, "recipe.augmentation: unknown operation 'spin'"),
        ({"recipe": {"posthoc_adjustment": False}}, "recipe.posthoc_adjustment: false, but the search space has true"),
    ],
)
def test_one_fault_one_line(table: dict[str, Any], fault: str) -> None:
    (reported,) = faults_of(FORMER_SMALL_CNN, table)
    assert reported.startswith(fault)
    assert reported.endswith("; give family as well") == fault.endswith("; give family as well")


def test_all_faults_are_reported() -> None:
    architecture = {**RESNET, "stem_width": 17, "widths": [16, 20], "kernel_size": 7}
    recipe = {"batch_size": 100, "ema_decay": 0.9}
    keys = [
        fault.partition(":")[0]
        for fault in faults_of(FORMER_SMALL_CNN, {"architecture": architecture, "recipe": recipe})
    ]
    assert keys == [
        "architecture.stem_width", "architecture.widths[1]", "architecture.kernel_size", "recipe.batch_size",
        "recipe.ema_decay",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("architecture", "size", "fault"),
    [
        ({"family": "vgg", "stem_stride": 1, "strides": [2, 2]}, (8, 8), "2, 2 with stem_stride 1 leave maps of less"),
        ({"family": "vgg", "strides": [2, 1]}, (8, 8), "2, 1 with stem_stride 2 leave maps of less"),
        ({"family": "vgg", "strides": [1, 1]}, None, "1, 1 with stem_stride 1 do not shrink the images"),
        ({"family": "vgg", "strides": [2, 3]}, None, "input should be 1 or 2 (given: 3)"),
        ({"family": "resnet", "stem_stride": 1, "strides": [1, 2]}, (32, 32), "1, but the search space has 2 for res"),
        ({"strides": [2, 1], "stem_stride": 1}, (32, 32), "1, but the search space has 2 for resnet; give family as"),
    ],
)
def test_strides_that_would_be_changed_are_refused(
    architecture: dict[str, Any], size: tuple[int, int] | None, fault: str
) -> None:
    (reported,) = faults_of(STRIDED, {"architecture": architecture}, size)
    assert reported.partition(": ")[2].startswith(fault)
    assert reported.startswith("architecture.strides")
    is_open = "stem_stride" not in architecture and "with stem_stride" in fault
    assert reported.endswith("; give stem_stride as well") == is_open


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({"family": "vgg", "widths": [8]}, "architecture.family: 'vgg', but the search space is of pairs of images"),
        ({"branch": {"family": "resnet"}}, "architecture.branch.family: 'resnet', but the search space has 'vgg', "),
        ({"comparison_widths": [64, 64]}, "architecture.comparison_widths: 2 hidden layers; a search has one or none"),
        ({"comparison_widths": [32]}, "architecture.comparison_widths: 32, but the search space has 64, 0"),
        ({"auxiliary": True}, "architecture.auxiliary: true where recipe.auxiliary_weight is above 0; give that alone"),
        ({"widths": [8]}, "architecture.widths: unknown gene; known: family, branch, shared"),
    ],
)
def test_faults_of_pairs(table: dict[str, Any], fault: str) -> None:
    (reported,) = faults_of(PAIRS, {"architecture": table})
    assert reported.startswith(fault)
