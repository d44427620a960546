"""Early stopping of a running training: record its curve and rung scores, and compare them with other trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from nas.errors import DatabaseError
from nas.results.learning_curve import EpochRecord
from nas.results.network_cost import Cost
from nas.results.outcome import BelowTarget, Dominated, StopReason
from nas.search.early_stopping_rule import comparable_group, dominates, highest_end, should_stop, study_rungs
from nas.search.pareto_front import Objectives
from nas.search.search_study import SearchStudy
from nas.search.storage.rung_scores import RungScores
from nas.search.trial_tells import RunningTrial
from nas.worker.trainer_messages import Stop


class EarlyStoppingMonitor:
    """Early stopping of one trial; the training itself never waits for it.

    A rung score that the database refuses is recorded after a later epoch; a trial that could not be compared is
    trained to the end. A training resumed from a checkpoint is compared at its past rungs again: the previous worker
    may have been lost between a rung and the stop request. A trial's curve is recorded at its rungs. That of a baseline
    is recorded after each epoch if the study has a target, which is predicted from it (`nas.search.target`).

    Args:
        target_f1: Score of the target that the trial aims at; None for a trial that is for the whole front.
        warn: Called once, with one line, when the database is unavailable.

    Attributes:
        stop_request: Request that ends the training; None until the trial falls behind.
    """

    def __init__(
        self,
        study: SearchStudy,
        rung_scores: RungScores,
        trial: RunningTrial,
        cost: Cost,
        *,
        is_baseline: bool,
        target_f1: float | None,
        warn: Callable[[str], None],
    ) -> None:
        self._study, self._rung_scores, self._trial = study, rung_scores, trial
        self._log10_cost = math.log10(cost[study.spec.pair.cost])
        self._target_f1 = target_f1
        self._group = comparable_group(trial.genome.recipe)
        # The baseline is never stopped: the search needs its result, whatever its score. Nor are trainings of shared
        # weights, whose epochs are no measure for those of others.
        self._rungs = () if is_baseline or trial.definition is not None else study_rungs(study.spec)
        self._predicts_target = is_baseline and study.spec.has_target
        self._warn: Callable[[str], None] | None = warn
        self.restart()

    def restart(self, curve: Sequence[EpochRecord] = ()) -> None:
        """Reset for a training that starts, or resumes after the epochs of `curve`."""
        self._curve = list(curve)
        self._due_records = [record for record in curve if record.epoch in self._rungs]
        self.stop_request: Stop | None = None
        self._compare_due_rungs()

    def add_epoch(self, record: EpochRecord) -> None:
        """Add the record of an epoch; at a rung, compare the trial."""
        self._curve.append(record)
        if record.epoch in self._rungs:
            self._due_records.append(record)
        self._compare_due_rungs()
        if self._predicts_target:
            self._record_curve_of_baseline()

    def _compare_due_rungs(self) -> None:
        if self.stop_request is not None or not self._due_records:
            return
        try:
            while self._due_records and self.stop_request is None:
                reason = self._compare(self._due_records[0])
                self.stop_request = None if reason is None else Stop(reason)
                del self._due_records[0]
            self._study.record_curve(self._trial, self._curve)
        except DatabaseError as error:
            self._warn_once(f"not compared with other trials for now: {error}")

    def _record_curve_of_baseline(self) -> None:
        try:
            self._study.record_curve(self._trial, self._curve)
        except DatabaseError as error:
            self._warn_once(f"its curve, from which the target is predicted, is not recorded for now: {error}")

    def _warn_once(self, text: str) -> None:
        if self._warn is not None:
            self._warn(text)
            self._warn = None

    def _compare(self, record: EpochRecord) -> StopReason | None:
        """Record the rung score; return the reason to stop if the trial has fallen behind, else None."""
        objectives = Objectives(record.objective, self._log10_cost)
        trial_id = self._trial.trial_id
        self._rung_scores.record(record.epoch, trial_id, self._group, objectives)
        if self._target_f1 is not None:
            return self._compare_with_target(record, self._target_f1)
        peers = self._rung_scores.peers(record.epoch, trial_id, self._group, objectives)
        if not should_stop(objectives, [peer.objectives for peer in peers], self._study.spec.early_stopping.reduction):
            return None
        ahead = [peer for peer in peers if dominates(peer.objectives, objectives)]
        leader = max(ahead, key=lambda peer: peer.objectives.score)
        pair = self._study.spec.pair
        return Dominated(
            record.epoch, objectives.score, leader.number, leader.objectives.score,
            pair.score_definition.title, pair.cost_definition.no_costlier,
        )  # fmt: skip

    def _compare_with_target(self, record: EpochRecord, target_f1: float) -> StopReason | None:
        """Return the reason to stop if the trial is not expected to reach the target, else None.

        It is not compared with smaller networks: what counts is whether it reaches the target, and a rank among scores
        near zero, after the first epochs, has stopped the answer itself (docs/early-stopping.md).
        """
        end = highest_end(record.objective, self._rung_scores.ends(record.epoch, self._group))
        if end >= target_f1:
            return None
        return BelowTarget(
            record.epoch, record.objective, end, target_f1, self._study.spec.pair.score_definition.title
        )  # fmt: skip
