"""A supervisor: claims slots of the budget and sees each trial through, from proposal to result."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from nas.outcome import Completed, Cost, Failed, FailureReason, Infeasible
from nas.search.records import TrialRecord
from nas.search.slots import BASELINE_SLOT, Lease, Slots
from nas.search.study import OpenTrial, SearchStudy
from nas.worker.child import Interrupted, TrainerChild, TrainerLost
from nas.worker.events import EpochEnded, Listener, Notice, Preparing, TrialEnded, TrialReused, TrialStarted
from nas.worker.heartbeat import Heartbeat
from nas.worker.messages import Progressed, Report, Train

LEASE_SECONDS = 60.0
_IDLE_SECONDS = 1.0


@dataclass(frozen=True)
class Attempt:
    """A trial in hand, with the lease that allows it."""

    lease: Lease
    trial: OpenTrial
    cost: Cost

    @property
    def family(self) -> str:
        return self.trial.genome.architecture.family

    @property
    def is_baseline(self) -> bool:
        return self.lease.slot == BASELINE_SLOT


class Supervisor:
    """Runs trials one after another until the budget is spent or it is asked to stop.

    Args:
        number: Of this supervisor in its process, from 1.
        owner: Who holds the leases, for people to read.
        stop: Set to end: the trial under way is put back.
        deadline: Set when no new trial is to be started.
    """

    def __init__(
        self,
        study: SearchStudy,
        slots: Slots,
        child: TrainerChild,
        *,
        number: int,
        owner: str,
        listener: Listener,
        stop: threading.Event,
        deadline: threading.Event,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._study = study
        self._slots = slots
        self._child = child
        self._number = number
        self._owner = owner
        self._listener = listener
        self._stop = stop
        self._deadline = deadline
        self._lease_seconds = lease_seconds

    def run(self) -> None:
        """Work until every slot of the study is done.

        Raises:
            NasError: The data cannot be loaded, or the database stays away.
        """
        try:
            self._child.open_data()
            while not (self._stop.is_set() or self._deadline.is_set()):
                lease = self._slots.claim(self._owner, self._lease_seconds)
                if lease is not None:
                    self._hold(lease)
                elif self._slots.seconds_until_claimable() is None:
                    return
                else:
                    # The others are training the last trials; should one be lost, its slot comes free.
                    self._stop.wait(_IDLE_SECONDS)
        except Interrupted:
            return
        finally:
            self._child.close()

    def _hold(self, lease: Lease) -> None:
        """See a leased slot's trial through; what happens to a lost lease's result is its new owner's affair."""
        if lease.trial_id is not None and self._study.used_up(lease.trial_id):
            # Its worker was lost after it told the trial and before it closed the slot.
            self._close(lease, "told by a worker that was lost")
            return
        with Heartbeat(self._slots, lease, self._lease_seconds) as heartbeat:
            trial = self._begin(lease)
            try:
                cost = self._child.measure(trial.genome.architecture)
            except (Interrupted, TrainerLost) as ended:
                reason: FailureReason = "preempted" if isinstance(ended, Interrupted) else "crashed"
                if self._keeps(lease, heartbeat, trial):
                    self._study.tell_failed(trial, Failed(reason, f"before its training began: {ended}"))
                    self._close(lease, reason)
                return
            attempt = Attempt(lease, trial, cost)
            self._study.note_genome(trial, cost)
            twin = self._study.twin(trial.genome)
            if twin is not None:
                if self._keeps(lease, heartbeat, trial):
                    self._tell_twin(attempt, twin)
            elif self._over_budget(attempt):
                if self._keeps(lease, heartbeat, trial):
                    self._tell_infeasible(attempt)
            else:
                self._train(attempt, heartbeat)

    def _begin(self, lease: Lease) -> OpenTrial:
        """The slot's own unfinished trial, or a new one."""
        resumed = self._study.resume(lease.trial_id) if lease.trial_id is not None else None
        if resumed is not None:
            self._listener(Notice(self._number, f"trial {resumed.number} lost its worker and is taken up again"))
            return resumed
        trial = self._study.start_baseline() if lease.slot == BASELINE_SLOT else self._study.ask()
        self._slots.attach(lease, trial.trial_id)
        return trial

    def _keeps(self, lease: Lease, heartbeat: Heartbeat, trial: OpenTrial) -> bool:
        """Whether the slot is still this supervisor's, asked before each tell; the result is dropped otherwise."""
        if not heartbeat.lost and self._slots.renew(lease, self._lease_seconds):
            return True
        self._listener(Notice(self._number, f"trial {trial.number}: the lease was lost; its result is dropped"))
        return False

    def _close(self, lease: Lease, reason: str) -> None:
        """Use the slot up, or give it back if its trial was only interrupted."""
        if reason == "preempted":
            self._slots.release(lease, keep_trial=False)
        else:
            self._slots.finish(lease, reason)

    def _over_budget(self, attempt: Attempt) -> bool:
        max_params = self._study.spec.budget.max_params
        return max_params is not None and attempt.cost.params > max_params and not attempt.is_baseline

    def _train(self, attempt: Attempt, heartbeat: Heartbeat) -> None:
        spec, trial = self._study.spec, attempt.trial
        self._listener(TrialStarted(self._number, trial.number, attempt.is_baseline, attempt.family, attempt.cost))

        def report(news: Report) -> None:
            if isinstance(news, Progressed):
                self._listener(Preparing(self._number, news.what, news.done, news.total))
            else:
                self._listener(EpochEnded(self._number, trial.number, spec.budget.epochs, news))

        with tempfile.TemporaryDirectory(prefix="nas-") as folder:
            weights = Path(folder) / f"trial-{trial.number}.safetensors"
            request = Train(trial.genome, spec.budget.epochs, spec.training.seed, weights)
            outcome = self._child.train(request, report)
            if not self._keeps(attempt.lease, heartbeat, trial):
                return
            if isinstance(outcome, Completed):
                self._tell_completed(attempt, outcome, weights)
            else:
                self._tell_failed(attempt, outcome)

    def _tell_completed(self, attempt: Attempt, outcome: Completed, weights: Path) -> None:
        on_front = self._study.tell_completed(attempt.trial, outcome, attempt.cost, weights)
        self._close(attempt.lease, "completed")
        self._ended(attempt, outcome, on_front=on_front)

    def _tell_twin(self, attempt: Attempt, twin: TrialRecord) -> None:
        if twin.objectives is None:
            self._tell_failed(attempt, Failed("diverged", f"as trial {twin.number} of the same genome did"))
            return
        self._study.tell_twin(attempt.trial, twin)
        self._close(attempt.lease, "reused")
        self._listener(TrialReused(self._number, attempt.trial.number, twin.number))

    def _tell_infeasible(self, attempt: Attempt) -> None:
        assert self._study.spec.budget.max_params is not None
        outcome = Infeasible(attempt.cost.params, self._study.spec.budget.max_params)
        self._study.tell_infeasible(attempt.trial, attempt.cost, outcome)
        self._close(attempt.lease, "over_budget")
        self._ended(attempt, outcome)

    def _tell_failed(self, attempt: Attempt, outcome: Failed) -> None:
        self._study.tell_failed(attempt.trial, outcome)
        self._close(attempt.lease, outcome.reason)
        self._ended(attempt, outcome)

    def _ended(self, attempt: Attempt, outcome: Completed | Infeasible | Failed, *, on_front: bool = False) -> None:
        self._listener(
            TrialEnded(
                self._number, attempt.trial.number, attempt.is_baseline, attempt.family, attempt.cost, outcome, on_front
            )
        )
