"""One epoch of a learning curve."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochRecord:
    """One point of a learning curve.

    Attributes:
        epoch: From 1.
        train_loss: Mean of the epoch's steps.
        validation_loss: Mean cross entropy over the validation images.
        images_per_second: Training images through the network, evaluation not counted.
        seconds: Since training began.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    macro_f1: float
    accuracy: float
    images_per_second: float
    seconds: float
