"""A training at the rungs of its study: where it stands is entered there, and whether it goes on is decided."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from nas.errors import DatabaseError
from nas.results.learning_curve import EpochRecord
from nas.results.network_cost import Cost
from nas.results.outcome import StopReason
from nas.search.early_stopping_rule import comparable_group, dominates, should_stop, study_rungs
from nas.search.pareto_front import Objectives
from nas.search.search_study import SearchStudy
from nas.search.storage.rung_scores import RungScores
from nas.search.trial_tells import RunningTrial
from nas.worker.trainer_messages import Stop


class EarlyStoppingMonitor:
    """Watches the training of one trial; the training itself never waits for it.

    What the database does not take now is entered after a later epoch, and is not worth a trial: one that could not be
    compared is trained to the end. A training that goes on from a checkpoint passes its rungs once more, since whoever
    watched it before may have been lost between a rung and the order to stop.

    Args:
        complain: Called once with one line when the database cannot be used.

    Attributes:
        stop: The order that ends the training, once it has fallen behind.
    """

    def __init__(
        self,
        study: SearchStudy,
        rung_scores: RungScores,
        trial: RunningTrial,
        cost: Cost,
        *,
        is_baseline: bool,
        complain: Callable[[str], None],
    ) -> None:
        self._study, self._standings, self._trial = study, rung_scores, trial
        self._log10_params = math.log10(cost.params)
        self._group = comparable_group(trial.genome.recipe)
        # Whatever the baseline's score, the search wants it.
        self._rungs = () if is_baseline else study_rungs(study.spec)
        self._complain: Callable[[str], None] | None = complain
        self.begin()

    def begin(self, curve: Sequence[EpochRecord] = ()) -> None:
        """A training begins, after the epochs of this curve."""
        self._curve = list(curve)
        self._due = [record for record in curve if record.epoch in self._rungs]
        self.stop: Stop | None = None
        self._decide()

    def note(self, record: EpochRecord) -> None:
        """An epoch is done."""
        self._curve.append(record)
        if record.epoch in self._rungs:
            self._due.append(record)
        self._decide()

    def _decide(self) -> None:
        if self.stop is not None or not self._due:
            return
        try:
            while self._due and self.stop is None:
                behind = self._at_rung(self._due[0])
                self.stop = None if behind is None else Stop(behind)
                del self._due[0]
            self._study.note_curve(self._trial, self._curve)
        except DatabaseError as error:
            if self._complain is not None:
                self._complain(f"not compared with other trials for now: {error}")
                self._complain = None

    def _at_rung(self, record: EpochRecord) -> StopReason | None:
        """Enter where the trial stands; what is the matter if it has fallen behind there."""
        own = Objectives(record.macro_f1, self._log10_params)
        trial_id = self._trial.trial_id
        self._standings.enter(record.epoch, trial_id, self._group, own)
        peers = self._standings.peers(record.epoch, trial_id, self._group, own)
        if not should_stop(own, [peer.objectives for peer in peers], self._study.spec.early_stopping.reduction):
            return None
        ahead = [peer for peer in peers if dominates(peer.objectives, own)]
        leader = max(ahead, key=lambda peer: peer.objectives.macro_f1)
        return StopReason(record.epoch, own.macro_f1, leader.number, leader.objectives.macro_f1)
