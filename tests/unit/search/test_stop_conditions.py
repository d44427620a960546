from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nas.search.stop_conditions import StopConditions, stop_reason
from nas.search.storage.trial_records import TrialRecord
from nas.study.stop_spec import StopSpec
from nas.study.study_spec import StudySpec
from nas.study.target_spec import TargetSpec
from tests.tiny_study import tiny_spec
from tests.unit.search.examples import baseline
from tests.unit.search.test_improvement import at, running, trial


def spec(target: TargetSpec | None = None, **stop: Any) -> StudySpec:
    return tiny_spec(trials=99).model_copy(update={"stop": StopSpec(**stop), "target": target or TargetSpec()})


def reason(study: StudySpec, records: list[TrialRecord], minutes: float = 60) -> str | None:
    return stop_reason(study, records, at(minutes), ())


RECORDS = [
    baseline(0.75),
    trial(1, 0.7, 9_000, 0, 10), trial(2, 0.75, 60_000, 10, 20), trial(3, 0.74, 50_000, 20, 30),
    trial(4, 0.73, 40_000, 30, 40), trial(5, None, 1_000, 40, 50),
]  # fmt: skip


def test_without_a_condition_a_search_never_ends() -> None:
    assert reason(spec(), RECORDS, 10_000) is None


def test_a_small_network_at_the_target_ends_it() -> None:
    assert reason(spec(at_params=49_999), RECORDS) is None
    expected = "trial 3 is at the target with 50,000 parameters, of at most 50,000"
    assert reason(spec(at_params=50_000), RECORDS) == expected
    assert reason(spec(TargetSpec(tolerance=0.02), at_params=49_999), RECORDS) is not None
    assert reason(spec(TargetSpec(macro_f1=0.75), at_params=59_999), RECORDS) is None
    assert reason(spec(TargetSpec(macro_f1=0.75), at_params=60_000), RECORDS) is not None


def test_a_predicted_target_ends_nothing() -> None:
    in_training = baseline(0.75)
    in_training = running(0, 0, is_baseline=True, genome=in_training.genome, curve=in_training.curve[:1])
    assert reason(spec(at_params=99_999), [in_training, *RECORDS[1:]]) is None


@pytest.mark.parametrize(("trials", "words"), [(1, "1 trial"), (2, "2 trials"), (3, None)])
def test_trials_without_a_smaller_answer_end_it(trials: int, words: str | None) -> None:
    expected = None if words is None else f"no improvement for {words}"
    assert reason(spec(trials_without_improvement=trials), RECORDS) == expected


@pytest.mark.parametrize(("minutes", "words"), [(20.0, "20 minutes"), (1.0, "1 minute"), (20.5, None)])
def test_minutes_of_search_without_a_smaller_answer_end_it(minutes: float, words: str | None) -> None:
    expected = None if words is None else f"no improvement for {words} of search"
    assert reason(spec(minutes_without_improvement=minutes), RECORDS, 10_000) == expected


def test_the_reason_stays_while_further_trials_end_without_improvement() -> None:
    stop = spec(trials_without_improvement=2)
    assert reason(stop, RECORDS) == reason(stop, [*RECORDS, trial(6, 0.1, 99, 50, 60), trial(7, 0.1, 99, 50, 60)])


@pytest.fixture
def said() -> list[str]:
    return []


def conditions(read: Callable[[], str | None], said: list[str]) -> StopConditions:
    return StopConditions(read, said.append)


def test_what_has_held_once_holds_for_the_process_and_is_said_once(said: list[str]) -> None:
    reasons = iter([None, "no improvement for 2 trials"])
    shared = conditions(lambda: next(reasons), said)
    assert [shared.hold() for _ in range(4)] == [False, True, True, True]
    assert said == ["no improvement for 2 trials"]
