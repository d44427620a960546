"""Training a trial's genome until there is an outcome: again after a crash, with smaller steps where memory ran out."""

from __future__ import annotations

from collections.abc import Callable

from typing_extensions import assert_never

from nas.results.learning_curve import EpochRecord
from nas.results.outcome import Completed, Failed
from nas.search.storage.slot_leases import Lease
from nas.search.trial_tells import RunningTrial, TrialFiles
from nas.worker.progress_events import EpochEnded, Listener, Notice, Preparing, TrialLocation, TrialResumed
from nas.worker.supervisor.early_stopping_monitor import EarlyStoppingMonitor
from nas.worker.supervisor.supervisor_context import RunControl, SupervisorContext
from nas.worker.supervisor.trainer_client import Trained
from nas.worker.trainer_messages import KeepAlive, PreparationProgress, Report, Resumed, Train, TrainingNotice

MAX_TRAININGS = 3
_MOST_MICRO_BATCHES = 2


class TrainingRetries:
    """The tries at one trial, by whichever workers have held its slot.

    Args:
        given_up: Whether the lease is lost.
    """

    def __init__(
        self,
        post: SupervisorContext,
        control: RunControl,
        lease: Lease,
        listener: Listener,
        rungs: EarlyStoppingMonitor,
        given_up: Callable[[], bool],
    ) -> None:
        self._child, self._slots, self._checkpoints = post.child, post.slots, post.checkpoints
        self._spec, self._pretrained = post.study.spec, post.pretrained
        self._checkpoint_seconds = control.checkpoint_seconds
        self._lease, self._listener, self._rungs, self._given_up = lease, listener, rungs, given_up

    def run(self, place: TrialLocation, trial: RunningTrial, files: TrialFiles) -> Trained:
        """Train until the outcome holds; each try goes on from the last checkpoint of the one before."""
        crashes, micro_batches = self._lease.crashes, 1
        if crashes >= MAX_TRAININGS:
            return Failed("crashed", f"in {crashes} tries, after the last of which its worker was lost")
        while True:
            request = Train(
                trial.genome, self._spec.budget.epochs, trial.seed, files.weights,
                self._checkpoints.of(place.number), self._lease.attempt, micro_batches, self._checkpoint_seconds,
                trial.choices, files.predictions, self._pretrained, trial.fold,
            )  # fmt: skip
            self._rungs.begin()
            outcome = _finite(
                self._child.train(request, self._reporter(place), self._given_up, lambda: self._rungs.stop)
            )
            if not isinstance(outcome, Failed):
                return outcome
            if outcome.reason != "diverged":
                # The next training gets a new process: memory that is in pieces stays so, and after an error on a GPU
                # whatever the same process does there fails too, which would use up trial after trial.
                self._child.close()
            if outcome.reason == "out_of_memory" and micro_batches < _MOST_MICRO_BATCHES:
                micro_batches = _MOST_MICRO_BATCHES
                self._listener(Notice(place, f"out of memory; once more with batches in {micro_batches} parts"))
            elif outcome.reason in ("crashed", "timed_out"):
                crashes += 1
                if not self._slots.note_crashes(self._lease, crashes) or crashes >= MAX_TRAININGS:
                    return Failed(outcome.reason, f"{outcome.detail}, in {crashes} tries")
                self._listener(
                    Notice(place, f"{outcome.reason}: {outcome.detail}; try {crashes + 1} of {MAX_TRAININGS}")
                )
            else:
                return outcome

    def _reporter(self, place: TrialLocation) -> Callable[[Report], None]:
        def report(news: Report) -> None:
            match news:
                case EpochRecord():
                    self._rungs.note(news)
                    self._listener(EpochEnded(place, self._spec.budget.epochs, news))
                case PreparationProgress():
                    self._listener(Preparing(place, news.what, news.done, news.total))
                case Resumed():
                    self._rungs.begin(news.curve)
                    for reason in news.refused:
                        self._listener(Notice(place, f"checkpoint refused: {reason}"))
                    if news.epochs_done is not None:
                        self._listener(TrialResumed(place, news.epochs_done))
                case TrainingNotice():
                    self._listener(Notice(place, news.text))
                case KeepAlive():
                    pass
                case _:
                    assert_never(news)

        return report


def _finite(outcome: Trained) -> Trained:
    """A score that is no number is no result; Optuna would keep infinity and leave NaN running."""
    if isinstance(outcome, Completed) and not outcome.is_finite:
        return Failed("diverged", f"macro-F1 is {outcome.scores.f1_macro}")
    return outcome
