"""Slices trained by themselves with another recipe."""

from __future__ import annotations

import random
from dataclasses import replace

from nas.search.sampling.mutation_suggester import MutationSuggester
from nas.search.shared_weights.recipe_variants import propose_recipe
from nas.search.shared_weights.training_candidates import median_gain
from nas.search.storage.trial_records import SHARED, TrialRecord
from nas.space.elastic_space import ElasticSpace, GivenSuggester
from nas.space.search_space import SearchSpace
from tests.unit.search.shared_weights.test_shared_weights import SIZE, record

SPACE = SearchSpace.parse(
    {
        "architecture": {
            "family": ["vgg", "resnet"], "num_stages": 2, "stem_width": 8, "depth": 1,
            "width": {"low": 8, "high": 32, "step": 8},
        },
        "recipe": {
            "loss": ["cross_entropy", "focal"], "gamma": {"low": 0.5, "high": 2.0},
            "learning_rate": {"low": 0.001, "high": 0.1, "log": True},
        },
    }
)  # fmt: skip


def slice_record(number: int, score: float, params: int, seed: int, **values: object) -> TrialRecord:
    suggester = MutationSuggester({}, random.Random(seed), 1.0)
    genome = SPACE.sample(suggester, SIZE)
    drawn = {"genome": genome, "genome_key": genome.key, "parameters": suggester.parameters}
    return replace(record(number, score, params), **drawn, **values)  # type: ignore[arg-type]


def study() -> list[TrialRecord]:
    """Four slices, of which three were trained by themselves, one of them with two recipes."""
    shared = [slice_record(n, 0.6 + n / 100, 1000 * (n + 1), seed=n, source=SHARED) for n in range(4)]
    trained = [slice_record(10 + n, 0.65 + n / 100, 1000 * (n + 1), seed=n, candidate_of=n) for n in range(3)]
    return [*shared, *trained]


def test_nothing_is_repeated_before_a_slice_was_trained() -> None:
    assert propose_recipe(study()[:4], 0.66, SPACE, SIZE, random.Random(0)) is None


def test_the_network_is_kept_and_the_recipe_is_new() -> None:
    records = study()
    for seed in range(20):
        proposal = propose_recipe(records, None, SPACE, SIZE, random.Random(seed))
        assert proposal is not None
        number, parameters = proposal
        assert number == 2, "the best slice"
        genome = SPACE.sample(GivenSuggester(parameters), SIZE)
        assert genome.architecture == records[2].genome.architecture
        assert genome.recipe != records[2].genome.recipe
        assert genome.key not in {one.genome_key for one in records}


def test_the_target_chooses_the_best_slice_below_the_smallest_at_the_target() -> None:
    # Slices of 1000, 2000 and 3000 parameters with 0.65, 0.66 and 0.67.
    for target, expected in ((0.66, 0), (0.67, 1), (0.64, 2), (0.7, 2)):
        proposal = propose_recipe(study(), target, SPACE, SIZE, random.Random(0))
        assert proposal is not None
        assert proposal[0] == expected, target


def test_the_best_recipe_of_a_slice_is_varied() -> None:
    records = study()
    better = {**records[2].parameters, "learning_rate": 0.0123}
    variant = slice_record(20, 0.7, 3000, seed=2, candidate_of=2)
    records.append(replace(variant, parameters=better, genome_key="variant"))
    kept = 0
    for seed in range(40):
        proposal = propose_recipe(records, None, SPACE, SIZE, random.Random(seed))
        assert proposal is not None
        kept += proposal[1]["learning_rate"] == 0.0123
    assert kept > 15


def test_a_space_with_one_recipe_has_none_to_propose() -> None:
    space = SearchSpace.parse(
        {"architecture": {"family": "vgg", "width": {"low": 8, "high": 32, "step": 8}}, "recipe": {"loss": "focal"}}
    )
    suggester = MutationSuggester({}, random.Random(0), 1.0)
    genome = space.sample(suggester, SIZE)
    drawn = {"genome": genome, "genome_key": genome.key, "parameters": suggester.parameters}
    shared = replace(record(0, 0.5), **drawn, source=SHARED)
    trained = replace(record(1, 0.6), **drawn, candidate_of=0)
    assert propose_recipe([shared, trained], None, space, SIZE, random.Random(0)) is None


def test_the_gain_of_fine_tuning_is_that_of_the_shared_recipe() -> None:
    records = study()
    gain = median_gain(records)
    variant = replace(slice_record(20, 0.99, 3000, seed=2, candidate_of=2), genome_key="variant")
    assert gain > 0
    assert median_gain([*records, variant]) == gain


def test_a_slice_with_another_recipe_is_a_slice() -> None:
    parameters = study()[0].parameters
    elastic = ElasticSpace(SPACE, parameters, image_size=SIZE)
    assert elastic.contains({**parameters, "learning_rate": 0.0123})
    others = [slice_record(0, 0.5, 1000, seed) for seed in range(20)]
    other = next(one for one in others if one.family != study()[0].family)
    assert not elastic.contains(other.parameters)
