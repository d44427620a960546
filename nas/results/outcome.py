"""What became of a trial: a sum type, and the scores and curve that a completed one carries. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from nas.results.learning_curve import EpochRecord
from nas.results.metrics import Scores


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
class StopReason:
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

    behind: StopReason
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
