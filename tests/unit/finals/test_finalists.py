from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nas.errors import StudyError
from nas.finals.finalists import (
    BASELINE,
    choose_finalists,
    choose_settings,
    first_setting,
    more_seeds,
    planned_runs,
)
from nas.search.analysis.front_summary import summarize_records
from nas.search.analysis.grid_results import SettingResults, gather_settings
from nas.search.search_study import SearchStudy
from nas.search.storage.trial_records import TrialRecord
from nas.space.recipe import Recipe
from nas.study.final_runs import ValidationChoices
from nas.study.grid_spec import GridSpec
from tests.tiny_study import tiny_spec
from tests.unit.search.examples import baseline, record, vgg


def numbers(*records: TrialRecord, **options: Any) -> list[int]:
    by_number = {one.number: one for one in records}
    study: Any = SimpleNamespace(name="s", record=by_number.__getitem__)
    study.record_with_result = lambda number, purpose: SearchStudy.record_with_result(study, number, purpose)
    return [one.number for one in choose_finalists(study, summarize_records(tiny_spec(), records), **options)]


FRONT = [record(1, 0.1, 10**3), record(2, 0.7, 10**4), record(3, 0.8, 10**5), record(4, 0.9, 10**6)]


def test_finalists_are_a_sequence_from_the_best_to_the_smallest_at_the_target() -> None:
    assert numbers(*FRONT, baseline(0.75)) == [4, 3]
    assert numbers(*FRONT, baseline(0.705)) == [4, 3, 2]
    assert numbers(*FRONT, baseline(0.95)) == [4]


def test_trials_and_the_best_of_the_front_may_be_asked_for() -> None:
    dominated = record(5, 0.5, 10**5)
    assert numbers(*FRONT, dominated, baseline(0.75), trials=[5]) == [5]
    assert numbers(*FRONT, baseline(0.75), top=2) == [4, 3]
    assert numbers(*FRONT, baseline(0.75), trials=[1, 4], top=1) == [4, 1]


def test_what_cannot_take_part_is_said() -> None:
    with pytest.raises(StudyError, match=r"trial 6 of 's' has no result to compare \(FAIL\)"):
        numbers(*FRONT, record(6), baseline(0.75), trials=[6])
    with pytest.raises(StudyError, match="is the baseline, which takes part in any case"):
        numbers(*FRONT, baseline(0.75), trials=[0])
    with pytest.raises(StudyError, match="front of 's' is empty"):
        numbers(baseline(0.75))


def test_runs_go_seed_by_seed_and_keep_to_what_the_search_chose() -> None:
    finalist = record(2, 0.7, figures={"kept_epoch": 4.0, "tau": 0.3}, genome=vgg(Recipe(early_stopping_patience=2)))
    runs = planned_runs({BASELINE: baseline(0.75), "trial 2": finalist}, [7, 8])
    assert [(run.finalist, run.seed, run.is_baseline) for run in runs] == [
        ("baseline", 7, True), ("trial 2", 7, False), ("baseline", 8, True), ("trial 2", 8, False),
    ]  # fmt: skip
    assert runs[1].choices == ValidationChoices(kept_epoch=4, tau=0.3)
    assert runs[1].genome == finalist.genome


def test_how_long_a_training_was_is_no_choice_where_validation_images_had_no_say() -> None:
    converged = record(2, 0.7, figures={"kept_epoch": 4.0}, genome=vgg(Recipe(convergence_tolerance=1e-3)))
    (run,) = planned_runs({"trial 2": converged}, [1])
    assert run.choices == ValidationChoices()


def test_more_seeds_are_those_there_were_and_others() -> None:
    finalists = {BASELINE: baseline(0.75), "trial 2": record(2, 0.7)}
    runs = planned_runs(finalists, [1])
    assert more_seeds(runs, [1, 2]) == planned_runs(finalists, [1, 2])


def grid(losses: dict[str, list[float]]) -> tuple[Any, SettingResults]:
    """Study of a grid and its settings, with one trial for each score."""
    dimensions = {"loss": {name: {} for name in losses}}
    spec = SimpleNamespace(grid=GridSpec(seeds=(0, 1), options=dimensions))
    points = [(name, seed, score) for name, scores in losses.items() for seed, score in enumerate(scores)]
    records = [
        record(number, score, point={"loss": name, "seed": seed}) for number, (name, seed, score) in enumerate(points)
    ]
    study: Any = SimpleNamespace(name="g", spec=spec, record=records.__getitem__)
    study.record_with_result = lambda number, purpose: SearchStudy.record_with_result(study, number, purpose)
    results = gather_settings(spec, records)  # type: ignore[arg-type]
    assert results is not None
    return study, results


def settings(losses: dict[str, list[float]], **options: Any) -> dict[str, int]:
    """Trial number of the representative of each chosen setting."""
    return {name: one.number for name, one in choose_settings(*grid(losses), **options).items()}


LOSSES = {"lost": [], "plain": [0.4, 0.5], "focal": [0.5, 0.8], "ldam": [0.7, 0.7]}


def test_the_settings_of_a_grid_take_part_each_by_one_of_its_trainings() -> None:
    assert settings(LOSSES) == {"plain": 0, "focal": 2, "ldam": 4}
    assert settings(LOSSES, top=1) == {"ldam": 4}
    assert settings(LOSSES, trials=[3]) == {"focal": 2}
    assert settings(LOSSES, trials=[3], top=1) == {"focal": 2, "ldam": 4}


def test_the_first_setting_that_has_a_result_is_there_to_compare_with() -> None:
    assert list(first_setting(*grid(LOSSES))) == ["plain"]


def test_a_setting_is_not_taken_for_the_baseline() -> None:
    assert settings({"baseline": [0.5]}) == {"setting baseline": 0}


def test_a_grid_without_results_has_no_finals() -> None:
    with pytest.raises(StudyError, match="no setting of 'g' has a result"):
        settings({"lost": []})
    with pytest.raises(StudyError, match="no setting of 'g' has a result"):
        first_setting(*grid({"lost": []}))
