"""What a training tells whoever watches it between its steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from nas.training.checkpoints.training_state import State


class TrainingPaused(Exception):  # noqa: N818 - it names what happened
    """The watcher wants the training to end here and to go on another time."""


class TrainingCallback(Protocol):
    """Watches a training; each method may raise `TrainingPaused`, at a point from which the training can go on."""

    def after_step(self, num_steps: int, state: Callable[[], State]) -> None:
        """A step is done.

        Args:
            num_steps: Since the training began.
            state: Gives the training's state as it is now, for as long as this method runs.
        """

    def alive(self, patience_seconds: float = 0.0) -> None:
        """The training goes on, and may need so long, or a minute, until it can say so again."""


class NoCallback:
    """Nobody watches."""

    def after_step(self, num_steps: int, state: Callable[[], State]) -> None:
        """Nothing."""

    def alive(self, patience_seconds: float = 0.0) -> None:
        """Nothing."""
