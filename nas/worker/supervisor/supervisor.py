"""Supervisor: claims slots of the budget and runs each trial from proposal to recorded result."""

from __future__ import annotations

import contextlib

from typing_extensions import assert_never

from nas.data.filesystem.folder_check import new_temporary_folder
from nas.errors import DatabaseError, NasError
from nas.results.outcome import Completed, Failed, Infeasible, Outcome, Stopped
from nas.search.baseline_trials import teacher_slot
from nas.search.number_baseline import tell_number
from nas.search.storage.rung_scores import RungScores
from nas.search.storage.slot_leases import Lease
from nas.search.storage.trial_records import ELASTIC, SHARED, STOPPED, TrialRecord
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
    WorkerWaiting,
)
from nas.worker.supervisor.early_stopping_monitor import EarlyStoppingMonitor
from nas.worker.supervisor.lease_heartbeat import Heartbeat
from nas.worker.supervisor.supervisor_context import ActiveTrial, RunControl, SupervisorContext
from nas.worker.supervisor.trainer_client import TrainingOutcome
from nas.worker.supervisor.trainer_errors import Interrupted, MeasurementFailed, TrainerLost
from nas.worker.supervisor.training_retries import TrainingRetries
from nas.worker.trainer_messages import Paused

_IDLE_SECONDS = 1.0


class Supervisor:
    """Loop that runs one trial after another until the budget is spent, the search ends or a stop is requested.

    Args:
        number: Number of this supervisor in its process, from 1.
        owner: Readable name of the owner of the leases.
    """

    def __init__(
        self, context: SupervisorContext, control: RunControl, *, number: int, owner: str, listener: Listener
    ) -> None:
        self._context = context
        self._study, self._slots, self._trainer = context.study, context.slots, context.trainer
        self._study.count_params = context.trainer.count_params
        self._rung_scores = RungScores(context.study.storage.rdb.engine, context.study.name)
        self._control = control
        self._number = number
        self._owner = owner
        self._listener = listener

    def run(self) -> None:
        """Run trials until every slot of the study is done, a stop is requested or the deadline is set.

        When a stop condition of the study holds, no slot but the baseline's is claimed: finals and target need it.

        Raises:
            NasError: The data cannot be loaded, an outage of the database lasts too long, or the machine is at fault.
                The slot is released then, with its trial, unless the database is away.
        """
        control = self._control
        try:
            self._trainer.start()
            is_waiting = False
            while not (control.stop.is_set() or control.deadline.is_set()):
                lease = self._claim()
                if lease is not None:
                    self._run_trial(lease)
                    is_waiting = False
                    continue
                seconds = self._slots.seconds_until_claimable(baseline_only=self._trains_baseline_only())
                if seconds is None:
                    return
                # Other workers train the last trials; the slot of a lost one becomes claimable.
                if not is_waiting and seconds > _IDLE_SECONDS:
                    self._listener(WorkerWaiting(self._number, seconds))
                    is_waiting = True
                control.stop.wait(_IDLE_SECONDS)
        except Interrupted:
            return
        finally:
            self._trainer.close()

    def _claim(self) -> Lease | None:
        """Claim a slot; if the baseline teaches the trials, none of theirs before its own is done.

        Raises:
            NasError: The baseline that should teach gave no result, or a teacher's weights are missing.
        """
        waits = self._study.spec.trains_baseline_first and not self._slots.baseline_done(teacher_slot(self._study.spec))
        baseline_only = self._trains_baseline_only() or waits
        if self._context.teacher is not None and not baseline_only:
            # Before the claim, so that an error leaves no lease behind.
            self._context.teacher()
        return self._slots.claim(
            self._owner, self._control.lease_seconds, baseline_only=baseline_only,
            num_preliminary=self._study.spec.num_preliminary,
        )  # fmt: skip

    def _trains_baseline_only(self) -> bool:
        """Return True if that is asked for, or if the search has come to its end."""
        conditions = self._context.stop_conditions
        return self._control.baseline_only or (conditions is not None and conditions.hold())

    def _run_trial(self, lease: Lease) -> None:
        """Run the trial of a leased slot; a result is recorded only while the lease holds."""
        if lease.trial_id is not None and self._study.has_ended(lease.trial_id):
            # Its worker was lost between recording the trial and finishing the slot.
            self._slots.finish(lease, "recorded by a worker that was lost")
            return
        with Heartbeat(self._slots, lease, self._control.lease_seconds) as heartbeat:
            try:
                self._run_leased(lease, heartbeat)
            except BaseException as error:
                if not isinstance(error, DatabaseError):
                    with contextlib.suppress(NasError):
                        self._slots.release(lease)
                raise

    def _run_leased(self, lease: Lease, heartbeat: Heartbeat) -> None:
        trial = self._resume_or_ask(lease)
        if trial is None or tell_number(self._study, self._slots, lease, trial):
            return
        location = TrialLocation(self._number, lease.slot, trial.number)
        active = self._measure_cost(lease, trial, location, heartbeat)
        if active is None:
            return
        duplicate = self._find_duplicate(trial)
        if duplicate is not None:
            if self._still_holds_lease(lease, heartbeat, location):
                self._tell_duplicate(active, duplicate)
        elif (excess := active.excess(self._study.spec.budget.limits)) is not None:
            if self._still_holds_lease(lease, heartbeat, location):
                self._tell_infeasible(active, excess)
        else:
            self._train(active, heartbeat)

    def _resume_or_ask(self, lease: Lease) -> RunningTrial | None:
        """Return the slot's unfinished trial or a new one; None if the lease was lost meanwhile."""
        resumed = self._study.resume(lease.trial_id) if lease.trial_id is not None else None
        if resumed is not None:
            return resumed
        while True:
            trial = self._study.start_trial(lease.slot)
            if not self._slots.attach(lease, trial.trial_id, trial.key):
                return None
            # Before it was attached to the slot, the trial may have been failed as one of a lost worker.
            if not self._study.has_ended(trial.trial_id):
                return trial

    def _measure_cost(
        self, lease: Lease, trial: RunningTrial, location: TrialLocation, heartbeat: Heartbeat
    ) -> ActiveTrial | None:
        """Measure the network's costs and record the genome; None if the trial was paused or failed."""
        try:
            cost = self._trainer.measure(trial.genome.architecture)
        except Interrupted:
            self._pause(lease, location, Paused(None))
            return None
        except (TrainerLost, MeasurementFailed) as error:
            if isinstance(error, TrainerLost):
                with new_temporary_folder() as folder:
                    self._trainer.require_control(folder)
            if self._still_holds_lease(lease, heartbeat, location):
                failed = Failed("crashed", f"before its training began: {error}")
                self._study.tell.failed(trial, failed)
                self._slots.finish(lease, failed.reason)
                self._listener(Notice(location, f"{failed.reason} {failed.detail}", is_end=True))
            return None
        self._study.record_genome(trial, cost)
        description = TrialDescription(trial.is_baseline, trial.genome.family, cost, trial.role)
        return ActiveTrial(lease, trial, location, description)

    def _find_duplicate(self, trial: RunningTrial) -> TrialRecord | None:
        """Return an ended trial with the same genome and a reusable result; None if there is none."""
        duplicate = self._slots.find_duplicate(trial.key)
        return None if duplicate is None else self._study.finished_record(duplicate)

    def _still_holds_lease(self, lease: Lease, heartbeat: Heartbeat, location: TrialLocation) -> bool:
        """Return True if this supervisor still holds the slot; checked before each tell, else the result is dropped."""
        if not heartbeat.lease_lost and self._slots.renew(lease, self._control.lease_seconds):
            return True
        self._listener(Notice(location, "the lease was lost; its result is dropped", is_end=True))
        return False

    def _train(self, active: ActiveTrial, heartbeat: Heartbeat) -> None:
        if active.trial.source != SHARED:
            # Of thousands of slices, each of which takes a second, the notable ones are shown at their end.
            self._listener(TrialStarted(active.location, active.description))
        finished = self._context.finished
        with new_temporary_folder() as folder:
            files = TrialFiles.within(folder, active.trial, finished.folder_of(active.trial.number))
            kept = finished.find(active.trial)
            outcome, files = kept or self._trained(active, heartbeat, files)
            try:
                if self._still_holds_lease(active.lease, heartbeat, active.location):
                    if isinstance(outcome, Completed) and self._context.folders is not None:
                        self._context.folders.require_same()
                    self._record(active, outcome, files)
            except NasError as error:
                if isinstance(outcome, Completed) and (where := finished.keep(active.trial, outcome, files)):
                    error.args = (f"{error}; the finished training is kept in {where}",)
                raise

    def _trained(
        self, active: ActiveTrial, heartbeat: Heartbeat, files: TrialFiles
    ) -> tuple[TrainingOutcome, TrialFiles]:
        """Train; return the outcome and the paths at which the files are.

        Raises:
            MachineError: Memory or a folder does not suffice, or the training failed by a fault of the machine.
        """
        params = active.description.cost.params
        if self._context.folders is not None and active.trial.source != SHARED:
            self._context.folders.require(params)
        if active.description.is_baseline:
            self._trainer.require_memory(params)
        retries = TrainingRetries(
            self._context, self._control, active.lease, self._listener, self._early_stopping_monitor(active),
            lambda: heartbeat.lease_lost, lambda text: setattr(heartbeat, "progress", text),
        )  # fmt: skip
        outcome = retries.run(active.location, active.trial, files)
        return outcome, files.located()

    def _record(self, active: ActiveTrial, outcome: TrainingOutcome, files: TrialFiles) -> None:
        match outcome:
            case Completed() if active.trial.is_elastic:
                self._study.tell.elastic(active.trial, outcome, files)
                self._finish_slot(active, ELASTIC)
                self._notify_ended(active, outcome)
            case Completed():
                self._tell_completed(active, outcome, files)
            case Stopped():
                self._tell_stopped(active, outcome)
            case Failed():
                self._tell_failed(active, outcome)
            case Paused():
                self._pause(active.lease, active.location, outcome)
            case _:
                assert_never(outcome)

    def _early_stopping_monitor(self, active: ActiveTrial) -> EarlyStoppingMonitor:
        return EarlyStoppingMonitor(
            self._study, self._rung_scores, active.trial, active.description.cost,
            is_baseline=active.description.is_baseline, target_f1=self._study.target_f1_of(active.trial),
            warn=lambda text: self._listener(Notice(active.location, text)),
        )  # fmt: skip

    def _pause(self, lease: Lease, location: TrialLocation, paused: Paused) -> None:
        """Release the slot with its trial, for any worker to resume."""
        self._slots.release(lease)
        self._listener(TrialPaused(location, paused.epoch))

    def _tell_completed(self, active: ActiveTrial, outcome: Completed, files: TrialFiles) -> None:
        on_front = self._study.tell.completed(active.trial, outcome, active.description.cost, files)
        self._finish_slot(active, "completed")
        self._notify_ended(active, outcome, on_front=on_front)

    def _tell_stopped(self, active: ActiveTrial, outcome: Stopped) -> None:
        self._study.tell.stopped(active.trial, outcome)
        self._finish_slot(active, STOPPED)
        self._notify_ended(active, outcome)

    def _tell_duplicate(self, active: ActiveTrial, duplicate: TrialRecord) -> None:
        if duplicate.objectives is None and duplicate.reason != STOPPED:
            self._tell_failed(active, Failed("diverged", f"as trial {duplicate.number} of the same genome did"))
            return
        self._study.tell.duplicate(active.trial, duplicate)
        self._finish_slot(active, "reused" if duplicate.objectives is not None else STOPPED)
        self._listener(TrialReused(active.location, duplicate.number))

    def _tell_infeasible(self, active: ActiveTrial, outcome: Infeasible) -> None:
        limits = self._study.spec.budget.limits
        self._study.tell.infeasible(active.trial, active.description.cost, limits, outcome)
        self._finish_slot(active, "over_budget")
        self._notify_ended(active, outcome)

    def _tell_failed(self, active: ActiveTrial, outcome: Failed) -> None:
        self._study.tell.failed(active.trial, outcome)
        self._finish_slot(active, outcome.reason)
        self._notify_ended(active, outcome)

    def _finish_slot(self, active: ActiveTrial, reason: str) -> None:
        """Mark the slot as done and delete the checkpoints of its trial."""
        self._slots.finish(active.lease, reason)
        self._context.checkpoints.remove(active.trial.number)
        self._context.finished.remove(active.trial.number)

    def _notify_ended(self, active: ActiveTrial, outcome: Outcome, *, on_front: bool = False) -> None:
        self._listener(TrialEnded(active.location, active.description, outcome, on_front))
