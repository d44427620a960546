"""What searches are compared by: hypervolume over time, and the time that it takes to a hypervolume."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from nas.search.pareto_front import Objectives, hypervolume
from replay.simulation import Found


def hypervolume_steps(found: Sequence[Found], reference: Objectives) -> list[tuple[float, float]]:
    """Each time at which the hypervolume rose, and what it was then."""
    steps: list[tuple[float, float]] = []
    points: list[Objectives] = []
    best = 0.0
    for one in found:
        area = hypervolume([*points, one.objectives], reference)
        if area > best:
            points.append(one.objectives)
            best = area
            steps.append((one.at, best))
    return steps


def at(steps: Sequence[tuple[float, float]], seconds: float) -> float:
    """The hypervolume after so many seconds."""
    return max((area for when, area in steps if when <= seconds), default=0.0)


def time_to(steps: Sequence[tuple[float, float]], area: float) -> float:
    """Seconds until the hypervolume was at least so large; infinite where it never was."""
    return next((when for when, reached in steps if reached >= area), math.inf)


@dataclass(frozen=True)
class Spread:
    """Median and quartiles over seeds; infinite ones count as the largest."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        ordered = sorted(values)
        last = len(ordered) - 1
        return cls(ordered[round(last * 0.25)], statistics.median_high(ordered), ordered[round(last * 0.75)])

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"
