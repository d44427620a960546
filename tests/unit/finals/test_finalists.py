from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nas.errors import StudyError
from nas.final_runs import Choices
from nas.finals.finalists import choose_finalists, knee, more_seeds, planned_runs
from nas.search.records import TrialRecord
from nas.search.study import SearchStudy
from nas.search.summary import summarize_records
from tests.unit.search.examples import baseline, record


def numbers(*records: TrialRecord, **wanted: Any) -> list[int]:
    by_number = {one.number: one for one in records}
    study: Any = SimpleNamespace(name="s", record=by_number.__getitem__)
    study.result = lambda number, purpose: SearchStudy.result(study, number, purpose)
    return [one.number for one in choose_finalists(study, summarize_records("s", records), **wanted)]


# Sizes 3, 4, 5 and 6 decades; the second is far above the line from the first to the last, the third a little.
FRONT = [record(1, 0.1, 10**3), record(2, 0.7, 10**4), record(3, 0.8, 10**5), record(4, 0.9, 10**6)]


def test_the_knee_is_farthest_from_the_line_through_the_ends() -> None:
    found = knee(FRONT)
    assert found is not None
    assert found.number == 2


@pytest.mark.parametrize("front", [FRONT[:2], [record(1, 0.1, 10**3), record(2, 0.2, 10**4), record(3, 0.9, 10**5)]])
def test_a_front_of_two_or_one_that_is_hollow_has_no_knee(front: list[TrialRecord]) -> None:
    assert knee(front) is None


def test_finalists_are_the_smallest_that_equals_the_baseline_the_knee_and_the_best() -> None:
    assert numbers(*FRONT, baseline(0.75)) == [3, 2, 4]
    assert numbers(*FRONT, baseline(0.65)) == [2, 4]
    assert numbers(*FRONT, baseline(0.95)) == [2, 4]


def test_trials_and_the_best_of_the_front_may_be_asked_for() -> None:
    dominated = record(5, 0.5, 10**5)
    assert numbers(*FRONT, dominated, baseline(0.75), trials=[5]) == [5]
    assert numbers(*FRONT, baseline(0.75), top=2) == [4, 3]
    assert numbers(*FRONT, baseline(0.75), trials=[1, 4], top=1) == [1, 4]


def test_what_cannot_take_part_is_said() -> None:
    with pytest.raises(StudyError, match=r"trial 6 of 's' has no result to compare \(FAIL\)"):
        numbers(*FRONT, record(6), baseline(0.75), trials=[6])
    with pytest.raises(StudyError, match="is the baseline, which takes part in any case"):
        numbers(*FRONT, baseline(0.75), trials=[0])
    with pytest.raises(StudyError, match="front of 's' is empty"):
        numbers(baseline(0.75))


def test_runs_go_seed_by_seed_and_keep_to_what_the_search_chose() -> None:
    finalist = record(2, 0.7, figures={"kept_epoch": 4.0, "tau": 0.3})
    runs = planned_runs(baseline(0.75), [finalist], num_seeds=2, first_seed=7)
    assert [(run.finalist, run.seed, run.is_baseline) for run in runs] == [
        ("baseline", 7, True), ("trial 2", 7, False), ("baseline", 8, True), ("trial 2", 8, False),
    ]  # fmt: skip
    assert runs[1].choices == Choices(kept_epoch=4, tau=0.3)
    assert runs[1].genome == finalist.genome


def test_more_seeds_are_those_there_were_and_others() -> None:
    runs = planned_runs(baseline(0.75), [record(2, 0.7)], num_seeds=1, first_seed=1)
    assert more_seeds(runs, num_seeds=2, first_seed=1) == planned_runs(
        baseline(0.75), [record(2, 0.7)], num_seeds=2, first_seed=1
    )
