from __future__ import annotations

import pytest

from nas.results.learning_curve import EpochRecord
from nas.search.target import target_of
from nas.study.baseline_spec import BaselineSpec
from tests.tiny_study import tiny_spec
from tests.unit.search.examples import record


def _curve(*scores: float) -> tuple[EpochRecord, ...]:
    return tuple(EpochRecord(n, 1.0, 1.0, score, score, 1.0, 1.0) for n, score in enumerate(scores, 1))


@pytest.mark.parametrize(("baseline_epochs", "predicted"), [(8, 0.75), (4, 0.5 + 0.5 * 1 / 3)])
def test_a_running_baseline_is_compared_at_the_same_share_of_the_epochs(baseline_epochs: int, predicted: float) -> None:
    spec = tiny_spec(epochs=4).model_copy(update={"baseline": BaselineSpec(epochs=baseline_epochs)})
    running = record(0, is_baseline=True, state="RUNNING", curve=_curve(0.1, 0.5))
    # After a quarter of the epochs half of what was missing was still to come, after half of them a third of it.
    trial = record(1, 0.8, curve=_curve(0.6, 0.7, 0.75, 0.8))
    target = target_of(spec, [running, trial])
    assert target is not None
    assert target.is_predicted
    assert target.reference_f1 == pytest.approx(predicted)
