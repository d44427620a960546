from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FixedTrial

from nas.networks.parameter_and_flop_count import count_params
from nas.search.sampling.initial_genomes import initial_parameters
from nas.space.architecture import PairArchitecture
from nas.space.gene_domains import RandomSuggester
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace
from tests.search_spaces import FORMER_SMALL_CNN, ROOT, SMALL_CNN
from tests.tiny_study import SPACE

SPACES = (*sorted((ROOT / "search_spaces").glob("*.toml")), ROOT / "benchmarks" / "spaces" / "small_cnn_0.1.0.toml")


def params(genome: Genome) -> int:
    return count_params(genome.architecture, 1, 10)


def design(space: SearchSpace, *arguments: Any) -> list[Genome]:
    return [space.sample(FixedTrial(parameters)) for parameters in initial_parameters(space, *arguments)]


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_a_small_network_of_each_family_comes_before_a_middling_one_of_each(path: Path) -> None:
    space = SearchSpace.load(path)
    genomes, number = design(space), len(space.families)
    assert [genome.family for genome in genomes] == [*space.families, *space.families]
    random = [space.sample(RandomSuggester(seed)) for seed in range(120)]
    for small, middling in zip(genomes[:number], genomes[number:], strict=True):
        drawn = sorted(params(genome) for genome in random if genome.family == small.family)
        assert params(small) < params(middling) < drawn[6 * len(drawn) // 10]
        assert params(small) < drawn[len(drawn) // 5]


def test_networks_and_recipe_are_plain() -> None:
    vgg, resnet = design(FORMER_SMALL_CNN)[:2]
    assert vgg.architecture.model_dump(exclude={"family"}) == {
        "stem_width": 16, "depths": (1, 1, 1), "widths": (16, 16, 40), "kernel_size": 3, "factorized": False,
        "normalization": "batch", "activation": "relu", "head_widths": (), "dropout_first": 0.0, "dropout_head": 0.0,
        "noise_std": 0.0,
    }  # fmt: skip
    recipe = resnet.recipe
    assert (recipe.optimizer, recipe.schedule.name, recipe.augmentation) == ("sgd", "one_cycle", "shift 1")
    assert recipe.learning_rate == pytest.approx(0.01 * 20 ** (5 / 6))
    assert recipe.weight_decay == pytest.approx(1e-4)
    assert (recipe.batch_size, recipe.loss.name, recipe.loss.label_smoothing) == (128, "cross_entropy", 0.0)
    assert (recipe.imbalance.name, recipe.classifier.name, recipe.orthogonality.name) == ("none", "joint", "none")


def test_blocks_of_the_default_space_are_plain_and_strided() -> None:
    resnet, *_ = design(SMALL_CNN, (28, 28))
    assert resnet.architecture.model_dump(exclude_defaults=True) == {
        "stem_width": 12, "depths": (1, 1, 1), "widths": (12, 16, 32), "strides": (2, 2, 2),
    }  # fmt: skip
    assert (resnet.recipe.optimizer, resnet.recipe.schedule.name, resnet.recipe.batch_size) == ("sgd", "one_cycle", 128)


def test_what_a_space_does_not_have_is_replaced_by_the_nearest() -> None:
    space = SearchSpace.parse(
        {
            "architecture": {
                "family": "vgg", "num_stages": [4, 2], "kernel_size": [7, 5], "depth": [3, 1, 2],
                "normalization": "none", "dropout_head": [0.5, 0.3], "noise_std": {"low": 0.1, "high": 0.2},
                "head_layers": [1, 2], "head_width": [32, 64, 128], "width": {"low": 16, "high": 64, "log": True},
            },
            "recipe": {
                "loss": ["focal", "cross_entropy"],
                "gamma": {"low": 1.0, "high": 3.0, "step": 0.5},
                "optimizer": "adamw",
                "schedule": ["cosine", "constant"],
                "augmentation": ["none", "flip"],
                "learning_rate": [0.001, 0.003, 0.01],
                "batch_size": {"low": 16, "high": 48, "step": 8},
                "weight_decay": [0.1, 0.001, 0.01],
            },
        },
        "others",
    )  # fmt: skip
    small, middling = design(space)
    assert (small.architecture.depths, middling.architecture.depths) == ((1, 1), (2, 2))
    assert (small.architecture.widths, middling.architecture.widths) == ((16, 23), (16, 32))
    assert (small.architecture.head_widths, middling.architecture.head_widths) == ((32,), (64,))
    architecture, recipe = small.architecture, small.recipe
    assert (architecture.kernel_size, architecture.dropout_head, architecture.noise_std) == (5, 0.3, 0.1)
    assert (recipe.loss.name, recipe.loss.gamma, recipe.schedule.name) == ("focal", 2.0, "cosine")
    assert (recipe.augmentation, recipe.batch_size, recipe.weight_decay) == ("none", 48, 0.01)
    assert recipe.learning_rate == 0.01


@pytest.mark.parametrize(
    ("size", "strides"), [((64, 64), (2, 2, 2)), ((16, 16), (2, 2, 1)), ((8, 8), (2, 1, 1)), (None, (2, 2, 2))]
)
def test_every_stage_is_strided_as_far_as_the_images_allow(
    size: tuple[int, int] | None, strides: tuple[int, ...]
) -> None:
    tables = {"architecture": {"family": "resnet", "stem_stride": [2, 1], "stride": [1, 2], "width": [16, 32]}}
    space = SearchSpace.parse(tables)
    for parameters in initial_parameters(space, size):
        architecture = space.sample(FixedTrial(parameters), size).architecture
        assert (architecture.stem_stride, architecture.strides) == (1, strides)


@pytest.mark.parametrize("allowed", [40_000, 20_000, 12_000, 8_000])
def test_a_parameter_limit_narrows_the_networks_or_leaves_them_out(allowed: int) -> None:
    narrowed, free = design(FORMER_SMALL_CNN, None, lambda genome: params(genome) <= allowed), design(FORMER_SMALL_CNN)
    assert all(params(genome) <= allowed for genome in narrowed)
    fitting = [genome for genome in free if params(genome) <= allowed]
    assert set(fitting) <= set(narrowed)
    assert 1 <= len(narrowed) < len(free) or allowed == 40_000


def test_an_asked_trial_takes_them_whole() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    expected = initial_parameters(FORMER_SMALL_CNN)
    for parameters in expected:
        study.enqueue_trial(parameters)
    for parameters in expected:
        trial = study.ask()
        FORMER_SMALL_CNN.sample(trial)
        assert trial.params == parameters


def test_a_space_of_one_width_has_one_network_of_each_family() -> None:
    one_width = {**SPACE["architecture"], "stem_width": 8, "width": 8, "densenet": {"growth_rate": 4}}
    space = SearchSpace.parse({"architecture": {**one_width, "mobilenet": {"expansion": 2}}})
    assert [genome.family for genome in design(space)] == ["vgg", "resnet", "densenet", "mobilenet"]


def test_pairs_begin_with_siamese_networks_and_others_of_each_family() -> None:
    space = SearchSpace.parse(
        {
            "architecture": {
                "family": ["vgg", "densenet"], "siamese": [True, False], "comparison_width": [64, 0], "depth": [2, 1],
            },
            "recipe": {"auxiliary_weight": [0.0, 0.1, 0.3]},
        }
    )  # fmt: skip
    genomes = design(space)
    assert [genome.family for genome in genomes] == ["siamese vgg", "siamese densenet", "vgg", "densenet"]
    for genome in genomes:
        assert isinstance(genome.architecture, PairArchitecture)
        assert genome.architecture.comparison_widths == ()
        assert genome.recipe.auxiliary_weight == 0.1
    one_kind = SearchSpace.parse({**space.tables, "architecture": {**space.tables["architecture"], "siamese": True}})
    assert len(initial_parameters(one_kind)) == 2
