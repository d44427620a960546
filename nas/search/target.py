"""Target of a search: the score at which the network of the lowest cost is looked for, known or predicted."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from nas.results.outcome import INT8_SCORE
from nas.search.pareto_front import pareto_front
from nas.search.storage.trial_records import TrialRecord
from nas.study.study_spec import StudySpec

_NUM_NEAREST = 3
"""Trials from whose rise the end of a baseline in training is predicted."""


@dataclass(frozen=True)
class Target:
    """Target of a search.

    Attributes:
        macro_f1: Score that an answer must have at least, whatever the study's score is.
        reference_f1: Score of the baseline; None for a target that is a number.
        tolerance: Score subtracted from it.
        is_predicted: True while the baseline is in training, and its end is predicted from its curve.
    """

    macro_f1: float
    reference_f1: float | None = None
    tolerance: float = 0.0
    is_predicted: bool = False

    def is_met_by(self, record: TrialRecord) -> bool:
        """Return True if a trial with a result has the target's score, in eight bits too where that was measured."""
        return min(record.score, record.figures.get(INT8_SCORE, record.score)) >= self.macro_f1


def target_of(spec: StudySpec, records: Sequence[TrialRecord]) -> Target | None:
    """Return the target of a study; None without one, or before anything is known of the baseline.

    Args:
        records: All trials of the study.
    """
    if not spec.has_target:
        return None
    if spec.target.number is not None:
        return Target(spec.target.number)
    baseline = next((record for record in reversed(records) if record.is_reference and record.state != "FAIL"), None)
    if baseline is None:
        return None
    tolerance = spec.target.margin
    if baseline.objectives is not None:
        return Target(baseline.score - tolerance, baseline.score, tolerance)
    predicted = _predicted_end(baseline, records, spec.budget.epochs / spec.epochs_of(is_baseline=True))
    return None if predicted is None else Target(predicted - tolerance, predicted, tolerance, is_predicted=True)


def answer_of(target: Target | None, records: Sequence[TrialRecord]) -> TrialRecord | None:
    """Return the searched network of the lowest cost at the target, on the validation images; None if there is none.

    It is a trained network: a score with shared weights is an estimate.
    """
    if target is None:
        return None
    searched = [one for one in records if one.objectives is not None and one.is_searched]
    front = pareto_front(searched, lambda record: record.objectives)  # type: ignore[arg-type, return-value]
    return next((record for record in front if target.is_met_by(record)), None)


def _predicted_end(running: TrialRecord, records: Sequence[TrialRecord], trial_epochs: float) -> float | None:
    """Predict the final score of a running training from its curve and the rise of the complete trials' curves.

    A rise is a share of what is missing to 1: networks that are better already have less to gain. It is the median rise
    of the trials whose scores were nearest at that time, since networks that begin poorly rise most.

    Args:
        trial_epochs: Epochs of a trial for one of the running training; both have passed the same share of their
            schedules then.
    """
    if not running.curve:
        return None
    epoch = max(1, round(trial_epochs * len(running.curve)))
    latest = running.curve[-1].objective
    ended = [
        (one.curve[epoch - 1].objective, one.score)
        for one in records
        if one.objectives is not None and one.source is None and len(one.curve) > epoch
    ]
    nearest = sorted(ended, key=lambda pair: abs(pair[0] - latest))[:_NUM_NEAREST]
    shares = [(final - then) / (1 - then) for then, final in nearest if then < 1.0]
    return latest + (1 - latest) * max(0.0, statistics.median(shares)) if shares else latest
