"""Pareto fronts of a score (maximised) and the decimal logarithm of a cost (minimised)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from nas.study.cost_definitions import PARAMS

T = TypeVar("T")


@dataclass(frozen=True)
class Objectives:
    """Objective values of a trial: a score in [0, 1], and log10 of a cost.

    By default they are macro-F1 and the number of parameters, see `nas.study.costs_spec.ObjectivePair`.
    """

    score: float
    log10_cost: float

    @property
    def finite(self) -> bool:
        return math.isfinite(self.score) and math.isfinite(self.log10_cost)


REFERENCE = Objectives(score=0.0, log10_cost=7.0)
"""Default reference point of the hypervolume: score 0 with ten million parameters, about ResNet-18's size."""


def pareto_front(items: Sequence[T], objectives: Callable[[T], Objectives]) -> list[T]:
    """Return the non-dominated items, smallest first; the first of equal items, and none with non-finite values."""
    finite = [item for item in items if objectives(item).finite]
    by_size = sorted(finite, key=lambda item: (objectives(item).log10_cost, -objectives(item).score))
    front: list[T] = []
    for item in by_size:
        if not front or objectives(item).score > objectives(front[-1]).score:
            front.append(item)
    return front


def reference_point(cost: str, points: Sequence[Objectives]) -> Objectives:
    """Return the reference point of a cost: ten million parameters, or twice the largest of the points.

    Args:
        points: Objectives of all complete trials, the baseline included.
    """
    if cost == PARAMS or not points:
        return REFERENCE
    return Objectives(0.0, max(point.log10_cost for point in points if point.finite) + math.log10(2))


def hypervolume(points: Sequence[Objectives], reference: Objectives = REFERENCE) -> float:
    """Area of objective space that the points dominate, up to a reference point.

    Args:
        reference: The worst corner; points beyond it add nothing.

    Raises:
        ValueError: The reference is not finite.

    Source: Zitzler & Thiele, 1998; the two-objective sweep, O(n log n).
    """
    if not reference.finite:
        raise ValueError(f"the reference point must be finite, not {reference}")
    inside = [p for p in points if p.score > reference.score and p.log10_cost < reference.log10_cost]
    area = 0.0
    floor = reference.score
    for point in pareto_front(inside, lambda p: p):
        area += (reference.log10_cost - point.log10_cost) * (point.score - floor)
        floor = point.score
    return area
