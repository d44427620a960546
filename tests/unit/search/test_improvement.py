from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from nas.search.improvement import minutes_of_search, since_improvement
from nas.search.storage.trial_records import TrialRecord
from nas.search.target import Target
from tests.unit.search.examples import baseline, record, stopped

NOON = datetime(2024, 1, 1, 12)


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def trial(
    number: int, macro_f1: float | None, params: int, start: float, end: float | None, **changes: Any
) -> TrialRecord:
    """Trial with start and end in minutes after noon."""
    return record(number, macro_f1, params, started=at(start), ended=None if end is None else at(end), **changes)


def running(number: int, start: float, **changes: Any) -> TrialRecord:
    values = {"state": "RUNNING", "reason": None, "curve": (), "train_seconds": None, "started": at(start)}
    return record(number, ended=None, **{**values, **changes})


FRONT_OF_THREE = [
    trial(1, 0.5, 5_000, 0, 10), trial(2, 0.7, 9_000, 10, 20), trial(3, 0.4, 8_000, 20, 30),
    trial(4, None, 1_000, 30, 40), trial(5, 0.6, 6_000, 40, 50),
]  # fmt: skip


def test_without_a_target_the_front_improves_whatever_the_order_of_the_records() -> None:
    since = since_improvement(None, FRONT_OF_THREE[::-1], at(55), ())
    assert (since.has_improved, since.trials, since.minutes) == (True, 0, 0.0)
    later = [*FRONT_OF_THREE, trial(6, 0.6, 6_000, 50, 60), trial(7, 0.3, 5_000, 60, 65), stopped(8, 0.1, ended=at(70))]
    since = since_improvement(None, later, at(75), ())
    assert (since.trials, since.minutes) == (3, 20.0), "neither equal results nor dominated ones improve the front"


def test_once_the_target_is_reached_only_the_answer_counts() -> None:
    since = since_improvement(Target(0.65), FRONT_OF_THREE, at(55), ())
    assert (since.trials, since.minutes) == (3, 30.0)
    smaller = [*FRONT_OF_THREE, trial(6, 0.65, 8_999, 50, 60)]
    assert since_improvement(Target(0.65), smaller, at(60), ()).trials == 0
    better_but_larger = [*FRONT_OF_THREE, trial(6, 0.99, 20_000, 50, 60)]
    assert since_improvement(Target(0.65), better_but_larger, at(60), ()).trials == 4


@pytest.mark.parametrize("target", [Target(0.9), Target(0.65, 0.66, 0.01, is_predicted=True)])
def test_until_the_target_is_known_and_reached_the_front_counts(target: Target) -> None:
    later = [*FRONT_OF_THREE, trial(6, 0.2, 7_000, 50, 60)]
    assert since_improvement(target, later, at(60), ()).trials == 1


def test_before_the_first_result_a_search_counts_from_its_start() -> None:
    since = since_improvement(None, [trial(1, None, 10, 0, 5), trial(2, None, 10, 5, 8), running(3, 8)], at(12), ())
    assert (since.has_improved, since.trials, since.minutes) == (False, 2, 12.0)
    assert since_improvement(None, [], at(0), ()).minutes == 0.0


def test_the_last_improvement_is_that_of_a_replay() -> None:
    """Reference: go through the ends of the trials and see after which the front has changed."""
    draws = random.Random(3)
    for _ in range(200):
        ends = draws.sample(range(1, 1000), 12)
        results = draws.sample([(score / 10, 100 * size) for score in range(1, 7) for size in range(1, 7)], 12)
        trials = [trial(n, *result, 0, end) for n, (result, end) in enumerate(zip(results, ends, strict=True))]
        by_end = sorted(trials, key=lambda one: ends[one.number])
        last = 0
        for index, one in enumerate(by_end):
            earlier = by_end[:index]
            if not any(o.macro_f1 >= one.macro_f1 and (o.params or 0) <= (one.params or 0) for o in earlier):
                last = index
        assert since_improvement(None, trials, at(1000), ()).trials == len(trials) - 1 - last


def test_trials_at_the_same_time_count_once_and_a_pause_between_them_does_not() -> None:
    trials = [trial(1, 0.5, 10, 0, 10), trial(2, 0.5, 10, 5, 20), trial(3, 0.5, 10, 600, 610), running(4, 605)]
    assert minutes_of_search(trials, None, at(625), ()) == 20 + 25
    assert minutes_of_search(trials, at(8), at(625), ()) == 12 + 25
    assert minutes_of_search(trials, at(607), at(625), ()) == 18


def test_a_trial_that_was_paused_overnight_runs_as_long_as_it_was_trained() -> None:
    resumed = trial(1, 0.5, 10, 0, 700, train_seconds=900.0)
    assert minutes_of_search([resumed], None, at(700), {resumed.trial_id}) == 15
    assert minutes_of_search([resumed], None, at(700), ()) == 700
    curve = stopped(2, 0.1, 0.2).curve
    paused = running(2, 0, curve=curve)
    assert minutes_of_search([paused], None, at(700), {paused.trial_id}) == curve[-1].seconds / 60
    assert minutes_of_search([running(3, 0)], None, at(700), {103}) == 0.0


def test_neither_the_baseline_nor_a_trial_that_never_ran_is_search() -> None:
    never_ran = running(2, 0, params=None)
    waiting = running(3, 0, state="WAITING", started=None, params=None)
    assert minutes_of_search([baseline(0.8), never_ran, waiting], None, at(100), ()) == 0.0
