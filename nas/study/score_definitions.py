"""Scores of a classifier that a search may maximise, in one registry: macro-F1, accuracy, a class's recall and others.

A score is computed from the confusion matrix of the validation images and is between 0 and 1.

Dimensions: K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.space.spelling import did_you_mean

Confusion = NDArray[np.float64]
ScoreFunction = Callable[[Confusion, Sequence[str]], float]
"""Function of a confusion matrix [K, K], whose rows are the true classes, and of the classes' names."""

MACRO_F1 = "macro_f1"
RECALL_PREFIX = "recall:"
"""Before the name of a class: the recall of that class."""


@dataclass(frozen=True)
class ScoreDefinition:
    """Definition of a score.

    Attributes:
        name: Name in `objectives`.
        title: Name in tables and sentences.
        value: Computes it; higher is better.
    """

    name: str
    title: str
    value: ScoreFunction


_REGISTRY: dict[str, ScoreDefinition] = {}


def register_score(definition: ScoreDefinition) -> ScoreDefinition:
    """Register a score under its name, for this process and before a study file with it is read.

    Raises:
        ValueError: Another score has the name.
    """
    if _REGISTRY.setdefault(definition.name, definition) != definition:
        raise ValueError(f"score {definition.name!r}: another score has this name")
    return definition


def score_names() -> tuple[str, ...]:
    """Names of all scores, in the order of their registration; the last is that of a class's recall."""
    return (*_REGISTRY, f"{RECALL_PREFIX}CLASS")


def score_definition(name: str) -> ScoreDefinition:
    """Return a score by its name.

    Raises:
        ValueError: There is no such score; the text lists those there are.
    """
    if name in _REGISTRY:
        return _REGISTRY[name]
    class_name = class_of(name)
    if class_name:
        return ScoreDefinition(name, f"recall of {class_name!r}", _RecallOf(class_name))
    raise ValueError(f"no score {name!r}{did_you_mean(name, _REGISTRY)}; scores: {', '.join(score_names())}")


def class_of(name: str) -> str | None:
    """Return the class whose recall a score is; None for another score."""
    return name.removeprefix(RECALL_PREFIX) if name.startswith(RECALL_PREFIX) else None


@dataclass(frozen=True)
class _RecallOf:
    """Recall of one class; 0 without images of it."""

    class_name: str

    def __call__(self, confusion_KK: Confusion, classes: Sequence[str]) -> float:
        row = list(classes).index(self.class_name)
        return float(_recalls(confusion_KK)[row])


def _safe_divide(numerator: Confusion, denominator: Confusion) -> Confusion:
    """Quotient, with 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _recalls(confusion_KK: Confusion) -> Confusion:
    return _safe_divide(confusion_KK.diagonal().copy(), confusion_KK.sum(1))


def _f1s(confusion_KK: Confusion) -> Confusion:
    return _safe_divide(2 * confusion_KK.diagonal(), confusion_KK.sum(0) + confusion_KK.sum(1))


def _macro_f1(confusion_KK: Confusion, classes: Sequence[str]) -> float:
    """Mean F1 of the classes among labels or predictions."""
    occurs_K = confusion_KK.sum(0) + confusion_KK.sum(1) > 0
    return float(_f1s(confusion_KK)[occurs_K].mean())


def _accuracy(confusion_KK: Confusion, classes: Sequence[str]) -> float:
    return float(confusion_KK.trace() / confusion_KK.sum())


def _balanced_accuracy(confusion_KK: Confusion, classes: Sequence[str]) -> float:
    """Mean recall of the classes with images, as scikit-learn's `balanced_accuracy_score`."""
    return float(_recalls(confusion_KK)[confusion_KK.sum(1) > 0].mean())


def _weighted_f1(confusion_KK: Confusion, classes: Sequence[str]) -> float:
    """Mean F1 weighted by the classes' images, as scikit-learn's `f1_score(average="weighted")`."""
    return float(_f1s(confusion_KK) @ confusion_KK.sum(1) / confusion_KK.sum())


register_score(ScoreDefinition(MACRO_F1, "macro-F1", _macro_f1))
register_score(ScoreDefinition("accuracy", "accuracy", _accuracy))
register_score(ScoreDefinition("balanced_accuracy", "balanced accuracy", _balanced_accuracy))
register_score(ScoreDefinition("weighted_f1", "weighted F1", _weighted_f1))
