"""Training callback of a supervised trainer: keep-alive reports, checkpoints, pause and stop requests."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection

from nas.results.learning_curve import EpochProgress
from nas.training.checkpoints.checkpoint_file import CheckpointFolder
from nas.training.checkpoints.training_state import TrainingState
from nas.training.training_callback import TrainingPaused
from nas.worker.trainer.core_sharing import CoreShare
from nas.worker.trainer_messages import KeepAlive, Pause, Stop, TrainingNotice

_SECONDS_BETWEEN_POLLS = 0.05
_SECONDS_BETWEEN_KEEP_ALIVES = 1.0
_SECONDS_BETWEEN_PROGRESS = 5.0
_SILENCE_LIMIT_STEPS = 10
_MAX_STEP_DURATIONS = 101
# A shared disk may be slow.
_CHECKPOINT_SILENCE_SECONDS = 600.0


class SupervisedCallback:
    """Callback of one training, connected to its supervisor.

    Args:
        checkpoint_seconds: Seconds between two checkpoints.
        core_share: Updated between steps; None for a fixed number of threads.

    Attributes:
        save_on_pause: True if a pause saves a checkpoint.
        stop_request: Request that ended the training for good; None otherwise.
    """

    save_on_pause = True
    stop_request: Stop | None = None

    def __init__(
        self,
        connection: Connection,
        checkpoints: CheckpointFolder,
        checkpoint_seconds: float,
        core_share: CoreShare | None = None,
    ) -> None:
        self._core_share = core_share
        self._connection = connection
        self._checkpoints = checkpoints
        self._checkpoint_seconds = checkpoint_seconds
        self._durations: deque[float] = deque(maxlen=_MAX_STEP_DURATIONS)
        now = time.monotonic()
        self._last_step = self._last_poll = self._last_keep_alive = self._last_checkpoint = self._last_progress = now
        self._progress_of_step: Callable[[], EpochProgress] | None = None
        self._evaluation: EpochProgress | None = None
        self._evaluation_started = now

    def after_step(
        self, num_steps: int, state: Callable[[], TrainingState], progress: Callable[[], EpochProgress]
    ) -> None:
        """Handle the end of a step; see `nas.training.training_callback`."""
        now = time.monotonic()
        self._progress_of_step = progress
        if now - self._last_progress >= _SECONDS_BETWEEN_PROGRESS:
            self._last_progress = now
            self._connection.send(progress())
        self._durations.append(now - self._last_step)
        if now - self._last_checkpoint >= self._checkpoint_seconds:
            self.save(state(), num_steps)
            now = self._last_checkpoint = time.monotonic()
        self._last_step = now
        if self._core_share is not None:
            self._core_share.update()
        self._handle_request(now)
        if now - self._last_keep_alive >= _SECONDS_BETWEEN_KEEP_ALIVES:
            self._send_keep_alive(now)

    def keep_alive(self, silence_limit_seconds: float = 0.0) -> None:
        """Signal progress outside of a step; the next call may take `silence_limit_seconds`."""
        now = self._last_step = time.monotonic()
        self._handle_request(now)
        if self._progress_of_step is not None:
            # The first call after an epoch's last step: its evaluation begins.
            self._evaluation, self._evaluation_started = replace(self._progress_of_step(), is_evaluating=True), now
            self._progress_of_step = None
        if self._evaluation is not None and now - self._last_progress >= _SECONDS_BETWEEN_PROGRESS:
            self._last_progress = now
            left = max(0.0, self._evaluation.seconds_left - (now - self._evaluation_started))
            self._connection.send(replace(self._evaluation, seconds_left=left))
        if silence_limit_seconds > 0.0 or now - self._last_keep_alive >= _SECONDS_BETWEEN_KEEP_ALIVES:
            self._send_keep_alive(now, silence_limit_seconds)

    def notify(self, text: str) -> None:
        """Send a line about the training to the supervisor."""
        self._connection.send(TrainingNotice(text))

    def save(self, state: TrainingState, num_steps: int) -> None:
        """Save a checkpoint; report a failure and go on, since a full disk is no reason to lose a training."""
        self._connection.send(KeepAlive(_CHECKPOINT_SILENCE_SECONDS))
        try:
            self._checkpoints.save(state, num_steps)
        except OSError as error:
            self._connection.send(TrainingNotice(f"no checkpoint could be kept ({error.strerror or error})"))

    def _handle_request(self, now: float) -> None:
        """Handle a pending request; polls are spaced, since one takes a tenth of a small step's time."""
        if now - self._last_poll < _SECONDS_BETWEEN_POLLS:
            return
        self._last_poll = now
        if self._connection.poll():
            request = self._connection.recv()
            match request:
                case Pause(save_checkpoint=save_checkpoint):
                    self.save_on_pause = save_checkpoint
                case Stop():
                    self.stop_request = request
                case _:
                    raise AssertionError(f"{type(request).__name__} cannot be requested during a training")
            raise TrainingPaused

    def _send_keep_alive(self, now: float, silence_limit_seconds: float = 0.0) -> None:
        """Report that the training is alive; the silence limit is ten median steps, or the given one if longer."""
        self._last_keep_alive = now
        steps = _SILENCE_LIMIT_STEPS * statistics.median(self._durations) if self._durations else 0.0
        self._connection.send(KeepAlive(max(silence_limit_seconds, steps)))
