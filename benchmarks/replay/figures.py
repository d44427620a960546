"""Metrics of replayed searches: hypervolume over time, and time to a given hypervolume."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from nas.search.pareto_front import Objectives, hypervolume
from replay.simulation import SearchResult


def hypervolume_steps(results: Sequence[SearchResult], reference: Objectives) -> list[tuple[float, float]]:
    """Times at which the hypervolume rose, with its new values."""
    steps: list[tuple[float, float]] = []
    points: list[Objectives] = []
    best = 0.0
    for result in results:
        area = hypervolume([*points, result.objectives], reference)
        if area > best:
            points.append(result.objectives)
            best = area
            steps.append((result.at, best))
    return steps


def at(steps: Sequence[tuple[float, float]], seconds: float) -> float:
    """Hypervolume after a number of seconds."""
    return max((area for when, area in steps if when <= seconds), default=0.0)


def time_to(steps: Sequence[tuple[float, float]], area: float) -> float:
    """Seconds until the hypervolume reached a value; infinite if it never did."""
    return next((when for when, reached in steps if reached >= area), math.inf)


@dataclass(frozen=True)
class Spread:
    """Median and quartiles over seeds; infinite values are the largest."""

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
