from __future__ import annotations

import math
from typing import Any

import optuna
import pytest
from optuna.trial import Trial, TrialState, create_trial

from nas.results.network_cost import Cost
from nas.results.outcome import Dominated, Stopped
from nas.search.pareto_front import Objectives
from nas.search.storage.trial_attributes import (
    curve_attributes,
    duplicate_attributes,
    genome_attributes,
    result_attributes,
    stopped_attributes,
)
from nas.search.storage.trial_records import TrialRecord, objectives_of, read_record
from tests.unit.search.examples import VGG, completed, record


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(seed=0))


def _set_attributes(trial: Trial, attributes: dict[str, Any]) -> None:
    for key, value in attributes.items():
        trial.set_user_attr(key, value)


def _read(study: optuna.Study, trial: Trial) -> TrialRecord:
    return read_record(study.get_trials()[trial.number])


def test_a_result_is_read_as_it_was_written(study: optuna.Study) -> None:
    study.ask()
    trial, result = study.ask(), completed()
    _set_attributes(trial, genome_attributes(VGG, Cost(1000, 2000)))
    running = _read(study, trial)
    assert (running.state, running.genome, running.params, running.flops) == ("RUNNING", VGG, 1000, 2000)
    assert (running.objectives, running.metrics, running.curve, running.ended) == (None, {}, (), None)
    _set_attributes(trial, result_attributes(result))
    objectives = objectives_of(result, Cost(1000, 2000))
    assert objectives == Objectives(0.5, pytest.approx(3.0))
    study.tell(trial, (objectives.score, objectives.log10_cost))
    read = _read(study, trial)
    assert (read.number, read.state, read.objectives, read.macro_f1) == (1, "COMPLETE", objectives, 0.5)
    assert read.metrics == result.scores.summary
    assert (read.per_class, read.curve) == (result.scores.per_class, result.curve)
    assert read.figures == {"orthogonality_defect": 1.5}
    assert (read.train_seconds, read.device, read.family) == (3.5, "cpu, float32", "vgg")
    assert read.started is not None
    assert read.ended is not None
    assert read.started <= read.ended
    assert study.get_trials()[1].user_attrs["genome_key"] == VGG.key
    assert study.get_trials()[1].user_attrs["family"] == "vgg"


@pytest.mark.parametrize("values", [(math.inf, 3.0), (0.5, -math.inf)])
def test_values_that_are_not_finite_are_no_result(study: optuna.Study, values: tuple[float, float]) -> None:
    study.add_trial(create_trial(values=values, state=TrialState.COMPLETE))
    read = read_record(study.get_trials()[0])
    assert read.state == "COMPLETE"
    assert read.objectives is None


def test_a_trial_without_a_result_has_no_macro_f1_and_no_family(study: optuna.Study) -> None:
    trial = study.ask()
    trial.set_user_attr("baseline", True)
    trial.set_user_attr("reason", "crashed")
    trial.set_user_attr("detail", "why")
    study.tell(trial, state=TrialState.FAIL)
    read = _read(study, trial)
    assert (read.state, read.reason, read.detail, read.family, read.is_baseline) == (
        "FAIL",
        "crashed",
        "why",
        "?",
        True,
    )
    with pytest.raises(ValueError, match="trial 0 has no result"):
        _ = read.macro_f1


def test_a_stopped_trial_and_its_duplicate_have_the_reason_and_the_curve(study: optuna.Study) -> None:
    outcome = Stopped(Dominated(1, 0.31, 7, 0.5), completed(0.31).curve, 2.5, "cpu")
    trial, duplicate = study.ask(), study.ask()
    _set_attributes(trial, curve_attributes(outcome.curve[:1]))
    assert _read(study, trial).curve == outcome.curve[:1], "while it runs"
    _set_attributes(trial, stopped_attributes(outcome))
    study.tell(trial, state=TrialState.PRUNED)
    read = _read(study, trial)
    assert (read.state, read.reason, read.stopped_at, read.objectives) == ("PRUNED", "stopped", 2, None)
    assert read.detail == "macro-F1 0.3100 at epoch 1, where trial 7, which is no larger, had 0.5000"
    assert (read.curve, read.train_seconds, read.device) == (outcome.curve, 2.5, "cpu")
    _set_attributes(duplicate, duplicate_attributes(read))
    study.tell(duplicate, state=TrialState.PRUNED)
    copy = _read(study, duplicate)
    assert (copy.reason, copy.stopped_at, copy.detail, copy.curve) == ("stopped", 2, read.detail, read.curve)
    assert (copy.reused_from, copy.train_seconds, copy.weights) == (0, None, None)


@pytest.mark.parametrize(("reused_from", "expected"), [(None, 7), (2, 2)])
def test_a_copied_result_names_the_trial_that_was_trained(
    study: optuna.Study, reused_from: int | None, expected: int
) -> None:
    source = record(7, 0.4, weights="artifact", reused_from=reused_from)
    trial = study.ask()
    _set_attributes(trial, duplicate_attributes(source))
    study.tell(trial, (0.4, 3.0))
    read = _read(study, trial)
    assert (read.metrics, read.per_class, read.curve) == (source.metrics, source.per_class, source.curve)
    assert (read.weights, read.device, read.reused_from) == ("artifact", "cpu, float32", expected)
    assert read.train_seconds is None  # It took no time.
