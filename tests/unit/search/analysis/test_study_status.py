from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from nas.search.analysis.study_status import study_status, trials_per_hour
from nas.search.storage.slot_counts import Owner, SlotCounts
from nas.search.storage.trial_records import TrialRecord
from nas.study.final_runs import FinalsSpec
from nas.study.stop_spec import StopSpec
from nas.study.study_spec import StudySpec
from nas.study.target_spec import TargetSpec
from tests.tiny_study import DATASET_SUMMARY, tiny_spec
from tests.unit.search.examples import baseline, record

NOON = datetime(2024, 1, 1, 12)


def _trial(number: int, start: float, end: float | None, **changes: Any) -> TrialRecord:
    """Completed trial with start and end in minutes after noon."""
    ended = None if end is None else NOON + timedelta(minutes=end)
    return record(number, 0.5, started=NOON + timedelta(minutes=start), ended=ended, **changes)


def test_before_anything_ended_there_is_no_rate() -> None:
    assert trials_per_hour([]) is None
    assert trials_per_hour([_trial(1, 0, None, state="RUNNING")]) is None
    assert trials_per_hour([_trial(1, 5, 5)]) is None


def test_a_short_study_counts_from_its_first_start() -> None:
    assert trials_per_hour([_trial(1, 0, 10)]) == pytest.approx(6)
    assert trials_per_hour([_trial(n, 5 * n, 5 * n + 5) for n in range(4)]) == pytest.approx(12)


def test_two_workers_are_twice_as_fast() -> None:
    assert trials_per_hour([_trial(n, 10 * (n // 2), 10 * (n // 2) + 10) for n in range(6)]) == pytest.approx(12)


def test_only_the_last_hour_counts() -> None:
    slow = [_trial(n, 60 * n, 60 * n + 60) for n in range(5)]
    fast = [_trial(5 + n, 300 + 6 * n, 306 + 6 * n) for n in range(20)]
    assert trials_per_hour(slow + fast) == pytest.approx(11)  # Eleven ends in [last - 60 min, last].


def test_failures_do_not_count_but_pruned_trials_do() -> None:
    trials = [_trial(1, 0, 30), _trial(2, 30, 60, state="PRUNED"), _trial(3, 0, 60, state="FAIL")]
    assert trials_per_hour(trials) == pytest.approx(2)


def _status(
    records: list[TrialRecord], counts: SlotCounts, owners: list[Owner], *, baseline_done: bool = True,
    counts_baseline: bool = False, spec: StudySpec | None = None,
) -> Any:  # fmt: skip
    spec = spec or tiny_spec(trials=5, epochs=9)
    if counts_baseline:
        spec = spec.model_copy(update={"finals": FinalsSpec(study="s", runs=())})
    study: Any = SimpleNamespace(name="s", spec=spec, dataset_summary=DATASET_SUMMARY, records=lambda: records)
    slots: Any = SimpleNamespace(
        owners=lambda: owners, counts=lambda: counts, baseline_done=lambda: baseline_done, interrupted_trial_ids=set
    )
    return study_status(study, slots)


def test_status_of_a_study_at_work() -> None:
    records = [baseline(0.8), _trial(1, 0, 10), _trial(2, 10, 20, params=9), _trial(3, 20, None, state="RUNNING")]
    status = _status(
        records, SlotCounts(open=2, leased=1, done=3), [Owner("host", 3, 103, 20.0, "epoch 2/9, batch 1/4")]
    )
    assert (status.budget, status.done, status.baseline_done) == (5, 2, True)
    assert status.states == {"COMPLETE": 2, "RUNNING": 1}
    assert status.workers == ("host (slot 3)",)
    assert status.running == {"slot 3": "epoch 2/9, batch 1/4"}
    assert status.trials_per_hour == pytest.approx(6)
    assert status.seconds_left == pytest.approx(3 * 600)
    assert status.best_macro_f1 == 0.5


def test_the_baselines_slot_is_not_of_the_budget() -> None:
    status = _status(
        [], SlotCounts(open=5, leased=1, done=0), [Owner("host", 0, None, 20.0, None)], baseline_done=False
    )
    assert (status.done, status.baseline_done, status.workers) == (0, False, ("host (baseline)",))
    assert (status.seconds_left, status.best_macro_f1) == (None, None)


def test_in_finals_every_slot_is_of_the_budget() -> None:
    records = [_trial(0, 0, 10, is_baseline=True), _trial(1, 10, 20), _trial(2, 20, 30, is_baseline=True)]
    owners = [Owner("host", 0, None, 20.0, None)]
    status = _status(records, SlotCounts(open=1, leased=1, done=3), owners, counts_baseline=True)
    assert (status.budget, status.done, status.has_baseline) == (5, 3, False)
    assert status.states == {"COMPLETE": 3}
    assert status.workers == ("host (slot 0)",)
    assert status.trials_per_hour == pytest.approx(6)
    assert status.seconds_left == pytest.approx(2 * 600)


def test_a_baseline_that_failed_for_good_uses_no_slot_of_the_budget() -> None:
    status = _status([_trial(1, 0, 10)], SlotCounts(open=4, leased=0, done=2), [])
    assert (status.done, status.baseline_done) == (1, True)


def test_nothing_left_takes_no_time_and_without_workers_nobody_knows() -> None:
    records = [baseline(0.8), *(_trial(n, 0, 10) for n in range(1, 4))]
    assert _status(records, SlotCounts(0, 0, 6), []).seconds_left == 0.0
    assert _status(records, SlotCounts(2, 0, 4), []).seconds_left is None


def test_a_trial_that_runs_while_no_worker_has_it_is_paused() -> None:
    records = [_trial(1, 0, None, state="RUNNING"), _trial(2, 0, None, state="RUNNING"), record(3)]
    status = _status(records, SlotCounts(open=1, leased=1, done=1), [Owner("host", 1, 101, 20.0, None)])
    assert status.states == {"RUNNING": 1, "PAUSED": 1, "FAIL": 1}


def _ending(**stop: Any) -> StudySpec:
    return tiny_spec(trials=5, epochs=9).model_copy(
        update={"stop": StopSpec(**stop), "target": TargetSpec(macro_f1=0.45)}
    )


def test_a_search_says_where_it_stands_and_why_it_ended() -> None:
    records = [baseline(0.8), _trial(1, 0, 10), _trial(2, 10, 20, params=2000), _trial(3, 20, 30, params=2000)]
    spec = _ending(trials_without_improvement=2)
    left = SlotCounts(open=2, leased=0, done=4)
    status = _status(records, left, [], spec=spec)
    assert (status.answer, status.target.macro_f1, status.minutes_since_improvement) == (1, 0.45, 20.0)
    assert status.search_progress.startswith("target 0.450; smallest at the target so far 1,000 parameters (trial 1)")
    assert (status.stop_reason, status.seconds_left) == ("no improvement for 2 trials", 0.0)
    at_work = [Owner("host", 4, None, 20.0, None)]
    assert _status(records, SlotCounts(1, 1, 4), at_work, spec=spec).seconds_left > 0, "its last trials still run"
    assert _status(records, SlotCounts(0, 0, 6), [], spec=spec).stop_reason is None, "its budget ended it"
    assert _status(records, left, [], spec=_ending(trials_without_improvement=3)).stop_reason is None


def test_finals_have_no_target() -> None:
    records = [_trial(0, 0, 10, is_baseline=True), _trial(1, 10, 20)]
    status = _status(records, SlotCounts(0, 0, 2), [], counts_baseline=True)
    assert (status.search_progress, status.target, status.answer, status.minutes_since_improvement) == (None,) * 4


def test_running_names_the_baseline_and_the_slots_that_have_progress() -> None:
    owners = [
        Owner("host", 0, 100, 20.0, "epoch 1/9, batch 7/40"), Owner("host", 1, 101, 20.0, None),
        Owner("other", 2, 102, 20.0, "finding neighbours: 40%"),
    ]  # fmt: skip
    status = _status([], SlotCounts(open=3, leased=3, done=0), owners, baseline_done=False)
    assert status.running == {"baseline": "epoch 1/9, batch 7/40", "slot 2": "finding neighbours: 40%"}
