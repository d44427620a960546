"""Trial outcomes as a sum type: completed, stopped, infeasible or failed. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from nas.results.learning_curve import EpochRecord
from nas.results.metrics import Scores
from nas.study.cost_definitions import cost_definition

INT8_SCORE = "int8_score"
"""Name among the figures of the score in eight bits, where a study minimises the size of the 8-bit file."""


@dataclass(frozen=True)
class Completed:
    """Trial trained for the whole budget, or until its recipe's stopping criterion.

    Attributes:
        scores: Validation scores.
        curve: Learning curve.
        seconds: Time of training and evaluation.
        device: Device and precision of the training.
        figures: Other measured values by name (names in `nas.training.fit`).
    """

    scores: Scores
    curve: tuple[EpochRecord, ...]
    seconds: float
    device: str
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def is_finite(self) -> bool:
        """True if the objective is a finite number."""
        return math.isfinite(self.scores.objective)


@dataclass(frozen=True)
class Dominated:
    """Rung scores of a stopped trial and of the best trial that dominates it.

    Attributes:
        rung: Epoch of the rung.
        macro_f1: Rung score of the stopped trial, whatever the study's score is.
        leader: Number of the best dominating trial, whose cost is no higher.
        leader_macro_f1: Rung score of the leader.
        title: Name of the score in sentences.
        no_costlier: Adjectives of a network with no higher cost.
    """

    rung: int
    macro_f1: float
    leader: int
    leader_macro_f1: float
    title: str = "macro-F1"
    no_costlier: str = "no larger"

    @property
    def sentence(self) -> str:
        """One-line description for the user."""
        return (
            f"{self.title} {self.macro_f1:.4f} at epoch {self.rung}, "
            f"where trial {self.leader}, which is {self.no_costlier}, had {self.leader_macro_f1:.4f}"
        )


@dataclass(frozen=True)
class BelowTarget:
    """Rung score of a stopped trial that is not expected to reach the target.

    Attributes:
        rung: Epoch of the rung.
        macro_f1: Rung score of the stopped trial, whatever the study's score is.
        highest_end: Highest final score that is to be expected.
        target: The target's score.
        title: Name of the score in sentences.
    """

    rung: int
    macro_f1: float
    highest_end: float
    target: float
    title: str = "macro-F1"

    @property
    def sentence(self) -> str:
        """One-line description for the user."""
        return (
            f"{self.title} {self.macro_f1:.4f} at epoch {self.rung} ends at {self.highest_end:.4f} at most by the "
            f"other trials' curves, below the target of {self.target:.4f}"
        )


StopReason = Dominated | BelowTarget
"""Reason for early stopping."""


@dataclass(frozen=True)
class Stopped:
    """Trial ended by early stopping at a rung.

    Attributes:
        reason: Comparison that ended the trial.
        curve: Learning curve until the end, which may be later than the rung.
        seconds: As in `Completed`.
        device: As in `Completed`.
    """

    reason: StopReason
    curve: tuple[EpochRecord, ...]
    seconds: float
    device: str

    @property
    def epoch(self) -> int:
        """Last completed epoch."""
        return len(self.curve)


@dataclass(frozen=True)
class Infeasible:
    """Trial that was not trained, because its network exceeds a limit of the budget.

    Attributes:
        cost: Name of the limited cost; the one that is exceeded by the largest factor.
        value: Cost of the network.
        limit: Limit of the budget.
    """

    cost: str
    value: float
    limit: float

    @property
    def sentence(self) -> str:
        """One-line description for the user."""
        definition = cost_definition(self.cost)
        return f"{definition.text(self.value)}, {definition.number(self.limit)} allowed"


FailureReason = Literal["diverged", "out_of_memory", "crashed", "timed_out"]


@dataclass(frozen=True)
class Failed:
    """Trial that ended without a result.

    Attributes:
        detail: One-line description for the user.
    """

    reason: FailureReason
    detail: str


Outcome = Completed | Stopped | Infeasible | Failed
