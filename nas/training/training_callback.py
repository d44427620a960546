"""Callbacks of the training loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from nas.results.learning_curve import EpochProgress
from nas.training.checkpoints.training_state import TrainingState


class TrainingPaused(Exception):  # noqa: N818 - an event, not an error
    """Raised by a callback to pause the training at a resumable point."""


class TrainingCallback(Protocol):
    """Callback of the training loop; every method may raise `TrainingPaused`, because its caller is resumable there."""

    def after_step(
        self, num_steps: int, state: Callable[[], TrainingState], progress: Callable[[], EpochProgress]
    ) -> None:
        """Handle the end of an optimiser step.

        Args:
            num_steps: Number of steps since the training began.
            state: Returns the current training state; valid only during this call.
            progress: Returns the progress inside the epoch; valid until the next step or the end of the epoch's
                evaluation. On a GPU it waits for the device.
        """

    def keep_alive(self, silence_limit_seconds: float = 0.0) -> None:
        """Signal progress outside of a step.

        Args:
            silence_limit_seconds: Maximum time until the next call; a minute is the minimum.
        """

    def notify(self, text: str) -> None:
        """Report a line about the training."""


class NoCallback:
    """Callback without effect."""

    def after_step(
        self, num_steps: int, state: Callable[[], TrainingState], progress: Callable[[], EpochProgress]
    ) -> None:
        """Do nothing."""

    def notify(self, text: str) -> None:
        """Do nothing."""

    def keep_alive(self, silence_limit_seconds: float = 0.0) -> None:
        """Do nothing."""
