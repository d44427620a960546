from __future__ import annotations

from collections.abc import Sequence

from nas.finals.finalists import BASELINE
from nas.finals.training_order import RunPlan
from tests.unit.finals.examples import sequence_results, sequence_spec

LOOK = (1, 2, 3)


def next_runs(
    accuracies: dict[int, float],
    seeds: dict[int, Sequence[int]],
    *,
    only: Sequence[int] = LOOK,
    looks: Sequence[int] = (3,),
) -> list[tuple[int, int]]:
    """Trial and seed of the runs to train next; trial 0 is the baseline."""
    templates = sequence_spec({trial: [1] for trial in range(5)}).finalists
    plan = RunPlan(templates, BASELINE, only, batch=2)
    results = sequence_results(accuracies, seeds, looks)
    return [(run.trial, run.seed) for run in plan.next_runs(sequence_spec(seeds, looks), results)]


def test_other_baselines_are_trained_beside_the_sequence_and_a_number_is_not_trained() -> None:
    templates = sequence_spec({trial: [1] for trial in range(5)}).finalists
    other = {"baseline b": templates[BASELINE].model_copy(update={"finalist": "baseline b", "trial": 9})}
    results = sequence_results({}, {0: []}, (3,))
    plan = RunPlan(templates | other, None, LOOK, batch=2, others=("baseline b",))
    runs = [(run.trial, run.seed) for run in plan.next_runs(sequence_spec({0: []}, (3,)), results)]
    assert runs == [(1, 1), (9, 1), (1, 2), (9, 2), (1, 3), (9, 3)]


EQUAL = dict.fromkeys(range(5), 0.8)


def test_the_baseline_and_the_first_finalist_are_trained_together_seed_by_seed() -> None:
    assert next_runs(EQUAL, {0: []}) == [(0, 1), (1, 1), (0, 2), (1, 2), (0, 3), (1, 3)]
    assert next_runs(EQUAL, {0: [1, 2, 3], 1: [1]}) == [(1, 2), (1, 3)]


def test_the_next_finalist_follows_one_that_held_a_few_seeds_at_a_time() -> None:
    assert next_runs(EQUAL, {0: LOOK, 1: LOOK}) == [(2, 1), (2, 2)]
    assert next_runs(EQUAL, {0: LOOK, 1: LOOK, 2: [1, 2]}) == [(2, 3)]
    assert next_runs(EQUAL, dict.fromkeys(range(5), LOOK)) == []


def test_nothing_follows_one_that_failed_early_or_at_the_end() -> None:
    assert next_runs({**EQUAL, 2: 0.5}, {0: LOOK, 1: LOOK, 2: [1, 2]}) == []
    assert next_runs({**EQUAL, 1: 0.5}, {0: LOOK, 1: LOOK}) == []


def test_with_some_of_the_seeds_every_finalist_is_trained_until_one_is_clearly_worse() -> None:
    assert next_runs(EQUAL, {0: []}, only=[2]) == [(0, 2), (1, 2)]
    assert next_runs(EQUAL, {0: [2], 1: [2]}, only=[2]) == [(2, 2)]
    assert next_runs(EQUAL, {trial: [2] for trial in range(5)}, only=[2]) == []
    assert next_runs({**EQUAL, 2: 0.5}, {0: [1, 2], 1: [1, 2], 2: [1, 2]}, only=[1, 2]) == []


def test_raised_seeds_are_trained_where_undecided_and_for_the_baseline() -> None:
    undecided = {**EQUAL, 2: 0.748}
    seeds = {0: LOOK, 1: LOOK, 2: LOOK}
    assert next_runs(undecided, seeds) == []
    assert next_runs(undecided, seeds, only=range(1, 6), looks=(3, 5)) == [(0, 4), (2, 4), (0, 5), (2, 5)]
    assert next_runs({**EQUAL, 2: 0.5}, seeds, only=range(1, 6), looks=(3, 5)) == []


def test_a_finalist_that_diverged_has_failed_and_is_not_trained_from_that_seed_again() -> None:
    seeds = {0: LOOK, 1: LOOK, 2: LOOK}
    templates = sequence_spec({trial: [1] for trial in range(5)}).finalists
    plan = RunPlan(templates, BASELINE, LOOK, batch=2)
    for diverged, answer in (((2, 3), 1), ((1, 1), None)):
        results = sequence_results(EQUAL, seeds, diverged=[diverged])
        assert plan.next_runs(sequence_spec(seeds), results) == []
        assert results.num_missing == 0
        assert (None if results.answer is None else results.answer.trial) == answer
