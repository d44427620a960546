"""Learning curve of a training: its epochs, and the progress inside an epoch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a learning curve.

    Attributes:
        epoch: Number of the epoch, from 1.
        train_loss: Mean loss over the epoch's steps.
        validation_loss: Mean cross entropy over the validation images.
        images_per_second: Training throughput without evaluation.
        seconds: Time since the start of training.
        score: Score that the study maximises; None for macro-F1.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    macro_f1: float
    accuracy: float
    images_per_second: float
    seconds: float
    score: float | None = None

    @property
    def objective(self) -> float:
        """Score that the study maximises."""
        return self.macro_f1 if self.score is None else self.score

    def as_json(self) -> dict[str, Any]:
        """Return its values by name, without a score that is macro-F1."""
        values = asdict(self)
        if self.score is None:
            del values["score"]
        return values


@dataclass(frozen=True)
class EpochProgress:
    """Progress of a training inside an epoch.

    Attributes:
        epoch: Epoch in progress, from 1.
        epochs: Epochs of the whole training.
        step: Steps of the epoch so far.
        num_steps: Steps of an epoch.
        loss: Mean loss of the epoch's steps so far.
        images_per_second: Training images in this process.
        seconds_left: Estimated time to the end of the training, evaluations included.
        is_evaluating: True during the evaluation at the end of the epoch.
    """

    epoch: int
    epochs: int
    step: int
    num_steps: int
    loss: float
    images_per_second: float
    seconds_left: float
    is_evaluating: bool = False

    @property
    def text(self) -> str:
        """Progress in one line."""
        position = "evaluation" if self.is_evaluating else f"batch {self.step}/{self.num_steps}"
        return (
            f"epoch {self.epoch}/{self.epochs}, {position}: loss {self.loss:.4f}, "
            f"{self.images_per_second:,.0f} images/s, {duration_text(self.seconds_left)} left"
        )


def duration_text(seconds: float) -> str:
    """Return a duration in words, in its two largest units: 40 s, 12 min, 2 h 10 min."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
