"""A supervisor: claims slots of the budget and sees each trial through, from proposal to result."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import assert_never

from nas.results.outcome import Completed, Failed, Infeasible, Outcome, Stopped
from nas.search.storage.rung_scores import RungScores
from nas.search.storage.slot_leases import Lease
from nas.search.storage.trial_records import STOPPED, TrialRecord
from nas.search.trial_tells import RunningTrial, TrialFiles
from nas.worker.progress_events import (
    Listener,
    Notice,
    TrialDescription,
    TrialEnded,
    TrialLocation,
    TrialPaused,
    TrialReused,
    TrialStarted,
)
from nas.worker.supervisor.early_stopping_monitor import EarlyStoppingMonitor
from nas.worker.supervisor.lease_heartbeat import Heartbeat
from nas.worker.supervisor.supervisor_context import RunControl, SupervisorContext
from nas.worker.supervisor.trainer_client import Interrupted, TrainerLost, Unmeasurable
from nas.worker.supervisor.training_retries import TrainingRetries
from nas.worker.trainer_messages import Paused

_IDLE_SECONDS = 1.0


@dataclass(frozen=True)
class ActiveTrial:
    """A trial in hand, with the lease that allows it."""

    lease: Lease
    trial: RunningTrial
    place: TrialLocation
    subject: TrialDescription


class Supervisor:
    """Runs trials one after another until the budget is spent or it is asked to stop.

    Args:
        number: Of this supervisor in its process, from 1.
        owner: Who holds the leases, for people to read.
    """

    def __init__(
        self, post: SupervisorContext, control: RunControl, *, number: int, owner: str, listener: Listener
    ) -> None:
        self._post = post
        self._study, self._slots, self._child = post.study, post.slots, post.child
        self._standings = RungScores(post.study.storage.rdb.engine, post.study.name)
        self._orders = control
        self._number = number
        self._owner = owner
        self._listener = listener

    def run(self) -> None:
        """Work until every slot of the study is done.

        Raises:
            NasError: The data cannot be loaded, or the database stays away.
        """
        control = self._orders
        try:
            self._child.open_data()
            while not (control.stop.is_set() or control.deadline.is_set()):
                lease = self._slots.claim(self._owner, control.lease_seconds, baseline_only=control.baseline_only)
                if lease is not None:
                    self._hold(lease)
                elif self._slots.seconds_until_claimable(baseline_only=control.baseline_only) is None:
                    return
                else:
                    # The others are training the last trials; should one be lost, its slot comes free.
                    control.stop.wait(_IDLE_SECONDS)
        except Interrupted:
            return
        finally:
            self._child.close()

    def _hold(self, lease: Lease) -> None:
        """See a leased slot's trial through; what happens to a lost lease's result is its new owner's affair."""
        if lease.trial_id is not None and self._study.has_ended(lease.trial_id):
            # Its worker was lost after it told the trial and before it closed the slot.
            self._slots.finish(lease, "told by a worker that was lost")
            return
        with Heartbeat(self._slots, lease, self._orders.lease_seconds) as heartbeat:
            trial = self._begin(lease)
            if trial is None:
                return
            place = TrialLocation(self._number, lease.slot, trial.number)
            attempt = self._measure(lease, trial, place, heartbeat)
            if attempt is None:
                return
            twin = self._twin(trial)
            if twin is not None:
                if self._keeps(lease, heartbeat, place):
                    self._tell_twin(attempt, twin)
            elif self._over_budget(attempt):
                if self._keeps(lease, heartbeat, place):
                    self._tell_infeasible(attempt)
            else:
                self._train(attempt, heartbeat)

    def _begin(self, lease: Lease) -> RunningTrial | None:
        """The slot's own unfinished trial, or a new one; None if the lease was lost on the way."""
        resumed = self._study.resume(lease.trial_id) if lease.trial_id is not None else None
        if resumed is not None:
            return resumed
        while True:
            trial = self._study.begin(lease.slot)
            if not self._slots.attach(lease, trial.trial_id, trial.key):
                return None
            # While no slot named it, the trial may have been failed as one whose worker was lost.
            if not self._study.has_ended(trial.trial_id):
                return trial

    def _measure(
        self, lease: Lease, trial: RunningTrial, place: TrialLocation, heartbeat: Heartbeat
    ) -> ActiveTrial | None:
        """Count a network's parameters and note what the trial is; None if that could not be done."""
        try:
            cost = self._child.measure(trial.genome.architecture)
        except Interrupted:
            self._pause(lease, place, Paused(None))
            return None
        except (TrainerLost, Unmeasurable) as error:
            if self._keeps(lease, heartbeat, place):
                failed = Failed("crashed", f"before its training began: {error}")
                self._study.tell.failed(trial, failed)
                self._slots.finish(lease, failed.reason)
                self._listener(Notice(place, f"{failed.reason} {failed.detail}", is_end=True))
            return None
        self._study.note_genome(trial, cost)
        subject = TrialDescription(trial.is_baseline, trial.genome.family, cost)
        return ActiveTrial(lease, trial, place, subject)

    def _twin(self, trial: RunningTrial) -> TrialRecord | None:
        """An ended trial of the same genome whose result holds for this one too."""
        twin = self._slots.twin(trial.key)
        return None if twin is None else self._study.ended(twin)

    def _keeps(self, lease: Lease, heartbeat: Heartbeat, place: TrialLocation) -> bool:
        """Whether the slot is still this supervisor's, asked before each tell; the result is dropped otherwise."""
        if not heartbeat.lost and self._slots.renew(lease, self._orders.lease_seconds):
            return True
        self._listener(Notice(place, "the lease was lost; its result is dropped", is_end=True))
        return False

    def _over_budget(self, attempt: ActiveTrial) -> bool:
        max_params = self._study.spec.budget.max_params
        return max_params is not None and attempt.subject.cost.params > max_params and not attempt.subject.is_baseline

    def _train(self, attempt: ActiveTrial, heartbeat: Heartbeat) -> None:
        self._listener(TrialStarted(attempt.place, attempt.subject))
        with tempfile.TemporaryDirectory(prefix="nas-") as folder:
            files = TrialFiles.within(Path(folder), attempt.trial)
            tries = TrainingRetries(
                self._post, self._orders, attempt.lease, self._listener, self._rungs(attempt), lambda: heartbeat.lost
            )
            outcome = tries.run(attempt.place, attempt.trial, files)
            if not self._keeps(attempt.lease, heartbeat, attempt.place):
                return
            match outcome:
                case Completed():
                    self._tell_completed(attempt, outcome, files)
                case Stopped():
                    self._tell_stopped(attempt, outcome)
                case Failed():
                    self._tell_failed(attempt, outcome)
                case Paused():
                    self._pause(attempt.lease, attempt.place, outcome)
                case _:
                    assert_never(outcome)

    def _rungs(self, attempt: ActiveTrial) -> EarlyStoppingMonitor:
        return EarlyStoppingMonitor(
            self._study, self._standings, attempt.trial, attempt.subject.cost,
            is_baseline=attempt.subject.is_baseline,
            complain=lambda text: self._listener(Notice(attempt.place, text)),
        )  # fmt: skip

    def _pause(self, lease: Lease, place: TrialLocation, paused: Paused) -> None:
        """Give the slot back with its trial, for any worker to take up."""
        self._slots.release(lease)
        self._listener(TrialPaused(place, paused.epoch))

    def _tell_completed(self, attempt: ActiveTrial, outcome: Completed, files: TrialFiles) -> None:
        on_front = self._study.tell.completed(attempt.trial, outcome, attempt.subject.cost, files)
        self._close(attempt, "completed")
        self._ended(attempt, outcome, on_front=on_front)

    def _tell_stopped(self, attempt: ActiveTrial, outcome: Stopped) -> None:
        self._study.tell.stopped(attempt.trial, outcome)
        self._close(attempt, STOPPED)
        self._ended(attempt, outcome)

    def _tell_twin(self, attempt: ActiveTrial, twin: TrialRecord) -> None:
        if twin.objectives is None and twin.reason != STOPPED:
            self._tell_failed(attempt, Failed("diverged", f"as trial {twin.number} of the same genome did"))
            return
        self._study.tell.twin(attempt.trial, twin)
        self._close(attempt, "reused" if twin.objectives is not None else STOPPED)
        self._listener(TrialReused(attempt.place, twin.number))

    def _tell_infeasible(self, attempt: ActiveTrial) -> None:
        assert self._study.spec.budget.max_params is not None
        outcome = Infeasible(attempt.subject.cost.params, self._study.spec.budget.max_params)
        self._study.tell.infeasible(attempt.trial, attempt.subject.cost, outcome)
        self._close(attempt, "over_budget")
        self._ended(attempt, outcome)

    def _tell_failed(self, attempt: ActiveTrial, outcome: Failed) -> None:
        self._study.tell.failed(attempt.trial, outcome)
        self._close(attempt, outcome.reason)
        self._ended(attempt, outcome)

    def _close(self, attempt: ActiveTrial, reason: str) -> None:
        """Use the slot up; its trial needs its checkpoints no more."""
        self._slots.finish(attempt.lease, reason)
        self._post.checkpoints.drop(attempt.trial.number)

    def _ended(self, attempt: ActiveTrial, outcome: Outcome, *, on_front: bool = False) -> None:
        self._listener(TrialEnded(attempt.place, attempt.subject, outcome, on_front))
