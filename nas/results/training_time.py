"""Estimated duration of a training."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingTime:
    """Estimated duration of one training.

    Attributes:
        epoch_seconds: Seconds of an epoch with its evaluation.
        fixed_seconds: Seconds that do not depend on the number of epochs.
    """

    epoch_seconds: float
    fixed_seconds: float = 0.0

    def seconds(self, epochs: int) -> float:
        """Return the duration of a training of so many epochs, in seconds."""
        return self.fixed_seconds + epochs * self.epoch_seconds

    def epochs_within(self, seconds: float) -> float:
        """Return the largest number of epochs that end in so many seconds; infinity if they take no time."""
        if self.fixed_seconds > seconds:
            return 0
        return math.floor((seconds - self.fixed_seconds) / self.epoch_seconds) if self.epoch_seconds else math.inf
