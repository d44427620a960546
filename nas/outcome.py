"""What became of a trial: a sum type, and the scores and curve that a completed one carries. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class ClassScores:
    """How one class was recognised.

    Attributes:
        support: Images of the class in the split; at 0 the scores are 0, as scikit-learn's `zero_division=0`.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Scores:
    """Classification metrics of one split, each in [0, 1].

    Attributes:
        absent: Names of classes that the split has no image of; they count as 0 in the macro averages
            only where the network predicted them, as in scikit-learn.
    """

    accuracy: float
    precision_macro: float
    recall_macro: float
    f1_macro: float
    precision_micro: float
    recall_micro: float
    f1_micro: float
    per_class: tuple[ClassScores, ...]
    absent: tuple[str, ...]

    @property
    def summary(self) -> dict[str, float]:
        """The averages by name, without the classes."""
        return {name: getattr(self, name) for name in METRIC_NAMES}


METRIC_NAMES = (
    "accuracy", "precision_macro", "recall_macro", "f1_macro", "precision_micro", "recall_micro", "f1_micro",
)  # fmt: skip
"""The averages of `Scores`."""


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


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        params: All parameters.
        flops: Of one image's forward pass; a multiply-add counts as one, as fvcore counts.
        trained_params: Those that are trained, where the others are frozen; None where all are.
    """

    params: int
    flops: int
    trained_params: int | None = None

    @property
    def params_in_words(self) -> str:
        """The number of parameters, and how many are trained where that is not all."""
        trained = "" if self.trained_params is None else f", {self.trained_params:,} of them trained"
        return f"{self.params:,} parameters{trained}"


@dataclass(frozen=True)
class Completed:
    """Trained for the whole budget, or until its patience was lost.

    Attributes:
        seconds: Training and evaluation together.
        device: What it ran on, with its precision.
        figures: What else was measured, by name (`nas.training.fit` has the names).
    """

    scores: Scores
    curve: tuple[EpochRecord, ...]
    seconds: float
    device: str
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def is_finite(self) -> bool:
        """Whether its objective is a number."""
        return math.isfinite(self.scores.f1_macro)


@dataclass(frozen=True)
class Behind:
    """Why a trial is stopped: where it stood at a rung, and the best of those that dominate it there.

    Attributes:
        rung: The epoch.
        leader: Number of a trial of its size or smaller.
        leader_macro_f1: After as many epochs.
    """

    rung: int
    macro_f1: float
    leader: int
    leader_macro_f1: float

    @property
    def sentence(self) -> str:
        """For people, in one line."""
        return (
            f"macro-F1 {self.macro_f1:.4f} at epoch {self.rung}, "
            f"where trial {self.leader}, which is no larger, had {self.leader_macro_f1:.4f}"
        )


@dataclass(frozen=True)
class Stopped:
    """Fell behind at a rung, and was trained no further.

    Attributes:
        curve: As far as it came, which may be further than the rung.
        seconds: As in `Completed`.
        device: Likewise.
    """

    behind: Behind
    curve: tuple[EpochRecord, ...]
    seconds: float
    device: str

    @property
    def epoch(self) -> int:
        """The last whole one."""
        return len(self.curve)


@dataclass(frozen=True)
class Infeasible:
    """Has more parameters than the budget allows; it was not trained."""

    params: int
    max_params: int


FailureReason = Literal["diverged", "out_of_memory", "crashed", "timed_out"]


@dataclass(frozen=True)
class Failed:
    """Gave no result.

    Attributes:
        detail: One line for the reader.
    """

    reason: FailureReason
    detail: str


Outcome = Completed | Stopped | Infeasible | Failed
