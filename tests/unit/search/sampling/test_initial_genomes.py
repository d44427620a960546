from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.trial import FixedTrial

from nas.networks.parameter_and_flop_count import count_params
from nas.search.sampling.initial_genomes import initial_parameters
from nas.space.architecture import PairArchitecture
from nas.space.gene_domains import RandomSuggester
from nas.space.search_space import SearchSpace
from tests.tiny_study import SPACE

SPACES = Path(__file__).parents[4] / "search_spaces"


@pytest.mark.parametrize("path", sorted(SPACES.glob("*.toml")), ids=lambda path: path.stem)
def test_each_family_begins_with_a_network_that_hardly_a_random_one_is_smaller_than(path: Path) -> None:
    space = SearchSpace.load(path)
    smallest = {}
    for parameters in initial_parameters(space):
        architecture = space.sample(FixedTrial(parameters)).architecture
        smallest[architecture.family] = count_params(architecture, 1, 10)
    assert list(smallest) == list(space.families)
    for seed in range(60):
        architecture = space.sample(RandomSuggester(seed)).architecture
        assert count_params(architecture, 1, 10) >= smallest[architecture.family]


def test_the_recipe_is_a_middling_one() -> None:
    space = SearchSpace.parse(
        {
            **SPACE,
            "recipe": {
                "loss": ["focal", "cross_entropy"],
                "gamma": {"low": 1.0, "high": 3.0, "step": 0.5},
                "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
                "batch_size": {"low": 16, "high": 48, "step": 8},
                "weight_decay": [0.1, 0.001, 0.01],
            },
        },
        "middling",
    )
    recipe = space.sample(FixedTrial(initial_parameters(space)[0])).recipe
    assert (recipe.loss.name, recipe.loss.gamma) == ("focal", 2.0)
    assert recipe.learning_rate == pytest.approx(1e-3)
    assert (recipe.batch_size, recipe.weight_decay) == (32, 0.01)


def test_an_asked_trial_takes_them_whole() -> None:
    space = SearchSpace.load(SPACES / "small_cnn.toml")
    study = optuna.create_study(directions=["maximize", "minimize"])
    expected = initial_parameters(space)
    for parameters in expected:
        study.enqueue_trial(parameters)
    for parameters in expected:
        trial = study.ask()
        space.sample(trial)
        assert trial.params == parameters


def test_pairs_begin_with_siamese_networks_and_others_of_each_family() -> None:
    space = SearchSpace.parse(
        {
            "architecture": {
                "family": ["vgg", "densenet"], "siamese": [True, False], "comparison_width": [64, 0], "depth": [2, 1],
            },
            "recipe": {"auxiliary_weight": [0.0, 0.1, 0.3]},
        }
    )  # fmt: skip
    genomes = [space.sample(FixedTrial(parameters)) for parameters in initial_parameters(space)]
    assert [genome.family for genome in genomes] == ["siamese vgg", "siamese densenet", "vgg", "densenet"]
    for genome in genomes:
        assert isinstance(genome.architecture, PairArchitecture)
        assert genome.architecture.comparison_widths == ()
        assert genome.recipe.auxiliary_weight == 0.1
    one_kind = SearchSpace.parse({**space.tables, "architecture": {**space.tables["architecture"], "siamese": True}})
    assert len(initial_parameters(one_kind)) == 2
