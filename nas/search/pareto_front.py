"""Pareto fronts of macro-F1 (maximised) and log10 of the parameter count (minimised)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Objectives:
    """Objective values of a trial: macro-F1 in [0, 1], and log10 of the number of parameters."""

    macro_f1: float
    log10_params: float

    @property
    def finite(self) -> bool:
        return math.isfinite(self.macro_f1) and math.isfinite(self.log10_params)


REFERENCE = Objectives(macro_f1=0.0, log10_params=7.0)
"""Default reference point of the hypervolume: macro-F1 0 with ten million parameters, about ResNet-18's size."""


def pareto_front(items: Sequence[T], objectives: Callable[[T], Objectives]) -> list[T]:
    """Return the non-dominated items, smallest first; the first of equal items, and none with non-finite values."""
    finite = [item for item in items if objectives(item).finite]
    by_size = sorted(finite, key=lambda item: (objectives(item).log10_params, -objectives(item).macro_f1))
    front: list[T] = []
    for item in by_size:
        if not front or objectives(item).macro_f1 > objectives(front[-1]).macro_f1:
            front.append(item)
    return front


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
    inside = [p for p in points if p.macro_f1 > reference.macro_f1 and p.log10_params < reference.log10_params]
    area = 0.0
    floor = reference.macro_f1
    for point in pareto_front(inside, lambda p: p):
        area += (reference.log10_params - point.log10_params) * (point.macro_f1 - floor)
        floor = point.macro_f1
    return area
