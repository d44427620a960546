"""Retries of a trial's training: after a crash or a kill, and with micro-batches after an out-of-memory error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from typing_extensions import assert_never

from nas.results.learning_curve import EpochProgress, EpochRecord
from nas.results.outcome import Completed, Failed
from nas.search.storage.slot_leases import Lease
from nas.search.storage.trial_records import FINE_TUNED
from nas.search.trial_tells import RunningTrial, TrialFiles
from nas.worker.progress_events import (
    EpochEnded,
    EpochProgressed,
    Listener,
    Notice,
    Preparing,
    TrialLocation,
    TrialResumed,
)
from nas.worker.shared_weights_message import SharedWeights
from nas.worker.supervisor.early_stopping_monitor import EarlyStoppingMonitor
from nas.worker.supervisor.failure_diagnosis import FailureDiagnosis, is_out_of_memory
from nas.worker.supervisor.supervisor_context import RunControl, SupervisorContext
from nas.worker.supervisor.trainer_client import TrainingOutcome
from nas.worker.supervisor.trainer_errors import Interrupted
from nas.worker.trainer_messages import (
    KeepAlive,
    Paused,
    PreparationProgress,
    Report,
    Resumed,
    Train,
    TrainingNotice,
)

MAX_TRAININGS = 3
_MAX_MICRO_BATCHES = 2


class TrainingRetries:
    """Trainings of one trial until it has an outcome; crashes are counted across all workers that held its slot.

    Args:
        lease_lost: True if the lease is lost.
        show_progress: Called with the progress in one line, for `nas status`.
    """

    def __init__(
        self,
        context: SupervisorContext,
        control: RunControl,
        lease: Lease,
        listener: Listener,
        early_stopping: EarlyStoppingMonitor,
        lease_lost: Callable[[], bool],
        show_progress: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._trainer, self._slots, self._checkpoints = context.trainer, context.slots, context.checkpoints
        self._spec, self._pretrained, self._teacher = context.study.spec, context.pretrained, context.teacher
        self._elastic_weights, self._image_size = context.elastic_weights, context.study.dataset_summary.image_size
        self._checkpoint_seconds = control.checkpoint_seconds
        self._lease, self._lease_lost, self._show_progress = lease, lease_lost, show_progress
        self._listener, self._early_stopping = listener, early_stopping

    def run(self, location: TrialLocation, trial: RunningTrial, files: TrialFiles) -> TrainingOutcome:
        """Train until there is an outcome; each retry resumes from the last checkpoint.

        Raises:
            MachineError: The machine is at fault: the trial can go on elsewhere, or here once it is mended.
        """
        crashes, micro_batches = self._lease.crashes, 1
        epochs = trial.own_epochs or self._spec.budget.epochs
        if crashes >= MAX_TRAININGS:
            return Failed("crashed", f"in {crashes} trainings, after the last of which its worker was lost")
        request = self._request(location, trial, files, epochs)
        diagnosis = FailureDiagnosis(self._trainer, files.weights.parent, is_baseline=trial.is_baseline)
        while True:
            self._early_stopping.restart()
            outcome = _fail_if_not_finite(
                self._trainer.train(
                    replace(request, micro_batches=micro_batches),
                    self._report_handler(location, epochs, diagnosis),
                    self._lease_lost,
                    lambda: self._early_stopping.stop_request,
                ),
                self._spec.pair.score_definition.title,
            )
            if not isinstance(outcome, Failed):
                return outcome
            if outcome.reason != "diverged":
                # The next training gets a new process: fragmented memory stays fragmented, and after a GPU error
                # every operation of the same process fails too, which would use up trial after trial.
                self._trainer.close()
            if diagnosis.is_interruption(outcome):
                self._notify(location, f"{outcome.detail}; it goes on from its last checkpoint")
                continue
            if is_out_of_memory(outcome) and micro_batches < _MAX_MICRO_BATCHES:
                micro_batches = _MAX_MICRO_BATCHES
                text = outcome.detail if outcome.reason == "crashed" else "out of memory"
                self._notify(location, f"{text}; once more with batches in {micro_batches} parts")
                continue
            try:
                diagnosis.require_genome_fault(outcome)
            except Interrupted:
                return Paused(None)
            if is_out_of_memory(outcome):
                return Failed("out_of_memory", outcome.detail)
            if outcome.reason == "diverged":
                return outcome
            crashes += 1
            if not self._slots.record_crashes(self._lease, crashes) or crashes >= MAX_TRAININGS:
                return Failed(outcome.reason, f"{outcome.detail}, in {crashes} trainings")
            self._notify(location, f"{outcome.reason}: {outcome.detail}; training {crashes + 1} of {MAX_TRAININGS}")

    def _request(self, location: TrialLocation, trial: RunningTrial, files: TrialFiles, epochs: int) -> Train:
        """Return the request of the training, with a whole batch at a time."""
        needs_teacher = trial.genome.recipe.distillation.needs_teacher
        teacher = self._teacher() if needs_teacher and self._teacher is not None else None
        return Train(
            trial.genome, epochs, trial.seed, files.weights, self._checkpoints.folder_of(location.number),
            self._lease.attempt, 1, self._checkpoint_seconds, trial.choices, files.predictions, self._pretrained,
            trial.fold, teacher, self._shared_weights(trial), files.spare, self._spec.teacher_file,
        )  # fmt: skip

    def _notify(self, location: TrialLocation, text: str) -> None:
        self._listener(Notice(location, text))

    def _shared_weights(self, trial: RunningTrial) -> SharedWeights | None:
        """Return the elastic network that is trained, or of which the trial's network is a slice; None without one."""
        if trial.definition is None:
            return None
        assert self._spec.shared_weights is not None
        elastic, weights = trial.definition.space(self._spec, self._image_size), None
        if trial.elastic_trial is not None:
            assert self._elastic_weights is not None
            weights = self._elastic_weights(trial.elastic_trial)
        return SharedWeights(elastic, self._spec.shared_weights, weights, trial.source == FINE_TUNED)

    def _report_handler(
        self, location: TrialLocation, epochs: int, diagnosis: FailureDiagnosis
    ) -> Callable[[Report], None]:
        def report(message: Report) -> None:
            match message:
                case EpochRecord():
                    diagnosis.made_progress()
                    self._early_stopping.add_epoch(message)
                    self._listener(EpochEnded(location, epochs, message))
                case EpochProgress():
                    self._show_progress(message.text)
                    self._listener(EpochProgressed(location, message))
                case PreparationProgress():
                    self._show_progress(f"{message.description}: {message.done / message.total:.0%}")
                    self._listener(Preparing(location, message.description, message.done, message.total))
                case Resumed():
                    self._early_stopping.restart(message.curve)
                    for reason in message.refused:
                        self._listener(Notice(location, f"checkpoint refused: {reason}"))
                    if message.epochs_done is not None:
                        self._listener(TrialResumed(location, message.epochs_done))
                case TrainingNotice():
                    self._listener(Notice(location, message.text))
                case KeepAlive():
                    pass
                case _:
                    assert_never(message)

        return report


def _fail_if_not_finite(outcome: TrainingOutcome, score: str) -> TrainingOutcome:
    """Turn a result with a non-finite score into a failure: Optuna would store infinity and keep NaN trials running."""
    if isinstance(outcome, Completed) and not outcome.is_finite:
        return Failed("diverged", f"{score} is {outcome.scores.objective}")
    return outcome
