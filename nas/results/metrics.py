"""Classification metrics of one split, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassScores:
    """Precision, recall and F1 of one class.

    Attributes:
        support: Images of the class in the split; at 0 the scores are 0, as with scikit-learn's `zero_division=0`.
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
        absent: Names of classes without images in the split; they count as 0 in the macro averages only if the
            network predicted them, as in scikit-learn.
        objective_score: Score that the study maximises; None for macro-F1.
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
    objective_score: float | None = None

    @property
    def objective(self) -> float:
        """Score that the study maximises."""
        return self.f1_macro if self.objective_score is None else self.objective_score

    @property
    def summary(self) -> dict[str, float]:
        """Averages by name, without the scores of single classes."""
        return {name: getattr(self, name) for name in METRIC_NAMES}


METRIC_NAMES = (
    "accuracy", "precision_macro", "recall_macro", "f1_macro", "precision_micro", "recall_micro", "f1_micro",
)  # fmt: skip
"""Names of the averages of `Scores`."""
