"""What a trainer does between two steps: it says that it lives, keeps checkpoints, and hears whether it is to end."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection

from nas.training.checkpoints.checkpoint_file import CheckpointFolder
from nas.training.checkpoints.training_state import State
from nas.training.training_callback import TrainingPaused
from nas.worker.trainer_messages import KeepAlive, Pause, Stop, TrainingNotice

_SECONDS_BETWEEN_LOOKS = 0.05
_SECONDS_BETWEEN_SIGNS = 1.0
_STEPS_OF_PATIENCE = 10
_STEPS_REMEMBERED = 101
# A shared disk may be slow.
_CHECKPOINT_PATIENCE_SECONDS = 600.0


class SupervisedCallback:
    """Watches one training for its supervisor.

    Args:
        checkpoint_seconds: Between two checkpoints.

    Attributes:
        keeps: Whether a pause is to keep a checkpoint.
        stop: The order by which the training ended, if it is not to go on another time.
    """

    keeps = True
    stop: Stop | None = None

    def __init__(self, connection: Connection, checkpoints: CheckpointFolder, checkpoint_seconds: float) -> None:
        self._connection = connection
        self._checkpoints = checkpoints
        self._checkpoint_seconds = checkpoint_seconds
        self._durations: deque[float] = deque(maxlen=_STEPS_REMEMBERED)
        now = time.monotonic()
        self._last_step = self._last_look = self._last_sign = self._last_checkpoint = now

    def after_step(self, num_steps: int, state: Callable[[], State]) -> None:
        """A step is done; see `nas.training.training_callback`."""
        now = time.monotonic()
        self._durations.append(now - self._last_step)
        if now - self._last_checkpoint >= self._checkpoint_seconds:
            self.save(state(), num_steps)
            now = self._last_checkpoint = time.monotonic()
        self._last_step = now
        self._look(now)
        if now - self._last_sign >= _SECONDS_BETWEEN_SIGNS:
            self._sign(now)

    def alive(self, patience_seconds: float = 0.0) -> None:
        """Something other than a step is done, or begins and will be silent for so long."""
        now = self._last_step = time.monotonic()
        self._look(now)
        if patience_seconds > 0.0 or now - self._last_sign >= _SECONDS_BETWEEN_SIGNS:
            self._sign(now, patience_seconds)

    def save(self, state: State, num_steps: int) -> None:
        """Keep a checkpoint; where that fails, say so: a full disk is no reason to lose a training."""
        self._connection.send(KeepAlive(_CHECKPOINT_PATIENCE_SECONDS))
        try:
            self._checkpoints.save(state, num_steps)
        except OSError as error:
            self._connection.send(TrainingNotice(f"no checkpoint could be kept ({error.strerror or error})"))

    def _look(self, now: float) -> None:
        """Whether the supervisor has said something; seldom, for asking takes as long as a small step's tenth."""
        if now - self._last_look < _SECONDS_BETWEEN_LOOKS:
            return
        self._last_look = now
        if self._connection.poll():
            request = self._connection.recv()
            match request:
                case Pause(keep=keep):
                    self.keeps = keep
                case Stop():
                    self.stop = request
                case _:
                    raise AssertionError(f"while it trains, a trainer is not asked for {type(request).__name__}")
            raise TrainingPaused

    def _sign(self, now: float, patience_seconds: float = 0.0) -> None:
        """Say that the training goes on: ten of its steps may pass in silence, or what a batch of evaluation takes."""
        self._last_sign = now
        steps = _STEPS_OF_PATIENCE * statistics.median(self._durations) if self._durations else 0.0
        self._connection.send(KeepAlive(max(patience_seconds, steps)))
