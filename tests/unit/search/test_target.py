from __future__ import annotations

from dataclasses import replace

import pytest

from nas.results.learning_curve import EpochRecord
from nas.results.outcome import INT8_SCORE
from nas.search.target import Target, answer_of, target_of
from nas.study.study_spec import StudySpec
from nas.study.target_spec import TargetSpec
from tests.tiny_study import tiny_spec
from tests.unit.search.examples import baseline, record


def spec_with(**target: object) -> StudySpec:
    return tiny_spec().model_copy(update={"target": TargetSpec.model_validate(target)})


def curve(*scores: float) -> tuple[EpochRecord, ...]:
    return tuple(EpochRecord(n, 1.0, 1.0, score, score, 100.0, 1.0) for n, score in enumerate(scores, 1))


def test_the_target_is_the_baselines_score_less_the_tolerance() -> None:
    records = [baseline(0.75), record(1, 0.9)]
    assert target_of(spec_with(), records) == Target(pytest.approx(0.74), 0.75, 0.01)
    assert target_of(spec_with(tolerance=0.0), records) == Target(0.75, 0.75, 0.0)
    assert target_of(spec_with(macro_f1=0.5), records) == Target(0.5)
    assert target_of(spec_with(reference="none"), records) is None
    assert target_of(spec_with(), [record(1, 0.9)]) is None


def test_a_baseline_in_training_is_predicted_by_the_rise_of_complete_trials() -> None:
    running = replace(baseline(0.0), state="RUNNING", objectives=None, curve=curve(0.5))
    assert target_of(spec_with(), [replace(running, curve=())]) is None
    # Without a complete trial its latest score is all that is known.
    assert target_of(spec_with(), [running]) == Target(pytest.approx(0.49), 0.5, 0.01, is_predicted=True)
    half_way = replace(record(1, 0.7), curve=curve(0.4, 0.7))
    # That trial gained half of what was missing after its first epoch.
    assert target_of(spec_with(), [running, half_way]) == Target(
        pytest.approx(0.74), pytest.approx(0.75), 0.01, is_predicted=True
    )

    # Trials that begin poorly rise more, and say nothing of one that does not.
    poor = [replace(record(n, 0.7), curve=curve(0.1, 0.7)) for n in range(2, 8)]
    alike = [replace(record(n, 0.6), curve=curve(0.5, 0.6)) for n in (8, 9)]
    predicted = target_of(spec_with(), [running, *poor, half_way, *alike])
    assert predicted is not None
    assert predicted.reference_f1 == pytest.approx(0.6)


def test_the_answer_is_the_smallest_network_at_the_target() -> None:
    records = [baseline(0.9, 10), record(1, 0.6, 500), record(2, 0.7, 900), record(3, 0.8, 2000), record(4, 0.75, 800)]
    answer = answer_of(Target(0.7), records)
    assert answer is not None
    assert answer.number == 4
    assert answer_of(Target(0.85), records) is None
    assert answer_of(None, records) is None


@pytest.mark.parametrize(
    "table", [{"macro_f1": 0.7, "tolerance": 0.01}, {"macro_f1": 0.7, "reference": "baseline"},
              {"reference": "none", "tolerance": 0.02}, {"macro_f1": 0.0}, {"share": 1.5}, {"tolerance": -0.1}]
)  # fmt: skip
def test_contradictions_are_refused(table: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(reversed(table)) if len(table) == 1 else "not with"):
        TargetSpec.model_validate(table)


def test_an_answer_has_the_target_score_in_eight_bits_too() -> None:
    first, second = record(1, 0.81, 1000), record(2, 0.82, 2000)
    lossy = replace(first, figures={INT8_SCORE: 0.7})
    assert answer_of(Target(0.8), [first, second]) is first
    assert answer_of(Target(0.8), [lossy, second]) is second
