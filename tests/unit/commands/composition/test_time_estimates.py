from __future__ import annotations

from dataclasses import replace

import pytest

from nas.commands.composition.network_timing import TimedNetworks
from nas.commands.composition.time_estimates import estimate_study
from nas.results.training_time import TrainingTime
from nas.study.baseline_spec import BaselineSpec
from nas.study.study_spec import StudySpec
from tests.tiny_study import DATASET_SUMMARY, tiny_spec

NETWORKS = TimedNetworks(TrainingTime(30.0), (), (TrainingTime(10.0), TrainingTime(20.0)), num_workers=2)


def _spec(baseline_epochs: int | None = None, *, stopping: bool = False) -> StudySpec:
    spec = tiny_spec(trials=10, epochs=4)
    early_stopping = spec.early_stopping.model_copy(update={"enabled": stopping})
    return spec.model_copy(update={"baseline": BaselineSpec(epochs=baseline_epochs), "early_stopping": early_stopping})


@pytest.mark.parametrize(("baseline_epochs", "baseline"), [(None, 120.0), (20, 600.0)])
def test_the_baseline_has_its_own_epochs_in_search_and_finals(baseline_epochs: int | None, baseline: float) -> None:
    times = estimate_study(NETWORKS, _spec(baseline_epochs), DATASET_SUMMARY)
    assert times is not None
    assert (times.baseline, times.trials) == (baseline, (40.0, 80.0))
    assert times.total == (baseline + 10 * 60.0) / 2
    # Ten training and four validation images; five finalists and the baseline from five seeds, two at once.
    assert times.finals == pytest.approx(5 * 1.4 * (baseline + 5 * 60.0) / 2)


def test_the_line_names_the_baselines_part() -> None:
    times = estimate_study(NETWORKS, _spec(20), DATASET_SUMMARY)
    assert times is not None
    assert times.text == (
        "Time on this machine, 2 trained at once: the baseline (resnet18, 20 epochs) 10 min, a trial 40 s to 1 min, so "
        "baseline and 10 trials about 10 min; finals at most about 52 min."
    )
    without = estimate_study(replace(NETWORKS, baseline=None), _spec(stopping=True), DATASET_SUMMARY)
    assert without is not None
    assert without.text == (
        "Time on this machine, 2 trained at once: a trial 40 s to 1 min, so 10 trials about 2 min; "
        "finals at most about 18 min."
    )


def test_without_a_timed_network_there_is_no_estimate() -> None:
    assert estimate_study(replace(NETWORKS, times=()), _spec(), DATASET_SUMMARY) is None
