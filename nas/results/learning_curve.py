"""Learning curves: losses and scores of each epoch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a learning curve.

    Attributes:
        epoch: Number of the epoch, from 1.
        train_loss: Mean loss over the epoch's steps.
        validation_loss: Mean cross entropy over the validation images.
        images_per_second: Training throughput without evaluation.
        seconds: Time since the start of training.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    macro_f1: float
    accuracy: float
    images_per_second: float
    seconds: float
