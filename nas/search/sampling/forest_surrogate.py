"""What a genome that was not trained yet would reach and cost, foreseen from every trial so far. Pure.

Forests of randomised trees map parameters to macro-F1, size and time. They take genes that only some genomes have, need
no scale, and how far their trees differ says how much is unknown. A trial that was stopped is learned from as well: its
curve is drawn out to the end.

Source: Hutter et al., "Sequential Model-based Optimization for General Algorithm Configuration", 2011; Geurts et al.,
"Extremely randomized trees", 2006.

Dimensions: T trees, L lessons, D drafts, S steps of the front.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from nas.search.pareto_front import Objectives, pareto_front

Floats = NDArray[np.float64]
Parameters = Mapping[str, Any]

_NUM_TREES = 20
_LEAST_F1 = 1e-3
"""A curve that begins at 0 would rise without bounds."""


@dataclass(frozen=True)
class Observation:
    """What one trial teaches.

    Attributes:
        log10_params: Of its network.
        curve: Macro-F1 after each epoch; empty if it was not trained, and then only its size is learned.
        final_f1: What it was told with; None if it was stopped.
        seconds: Of the training, as far as it went; None if they say nothing of others.
        group: Trials of one group have curves that may be compared.
    """

    parameters: Parameters
    log10_params: float
    curve: tuple[float, ...]
    final_f1: float | None
    seconds: float | None
    group: str


@dataclass(frozen=True)
class SurrogatePrediction:
    """What is foreseen of each draft.

    Attributes:
        macro_f1: By each tree, [T, D].
        log10_params: On the mean of the trees, [D].
        log10_seconds: Of an epoch, likewise, [D].
    """

    macro_f1: Floats
    log10_params: Floats
    log10_seconds: Floats

    @classmethod
    def of(cls, drafts: Sequence[Parameters], lessons: Sequence[Observation], seed: int) -> SurrogatePrediction:
        """Learn from the lessons, of which one at least was trained and timed, and look at the drafts."""
        encoded = _encode([*(lesson.parameters for lesson in lessons), *drafts])
        known, asked = encoded[: len(lessons)], encoded[len(lessons) :]
        trained = [row for row, lesson in enumerate(lessons) if lesson.curve]
        timed = [(row, lesson.seconds / len(lesson.curve)) for row, lesson in enumerate(lessons) if lesson.seconds]
        log10_seconds = [math.log10(seconds) for _, seconds in timed]
        return cls(
            macro_f1=_trees(known[trained], final_scores([lessons[row] for row in trained]), asked, seed),
            log10_params=_trees(known, [lesson.log10_params for lesson in lessons], asked, seed).mean(0),
            log10_seconds=_trees(known[[row for row, _ in timed]], log10_seconds, asked, seed).mean(0),
        )

    def gains(self, front: Sequence[Objectives]) -> Floats:
        """Hypervolume that each draft would add to a front, the mean over the trees, [D].

        The reference point is macro-F1 0 and twice the largest network of the front and the drafts.
        """
        steps = pareto_front(front, lambda point: point)
        sizes = [point.log10_params for point in steps]
        corner = max([*sizes, float(self.log10_params.max())]) + math.log10(2)
        edges = np.array([-math.inf, *sizes, corner])
        floors_S = np.array([0.0, *(point.macro_f1 for point in steps)])
        widths_DS = (edges[1:] - np.maximum(edges[:-1], self.log10_params[:, None])).clip(0.0)
        heights_TDS = (self.macro_f1[..., None] - floors_S).clip(0.0)
        gains: Floats = (heights_TDS * widths_DS).sum(-1).mean(0)
        return gains


def final_scores(lessons: Sequence[Observation]) -> list[float]:
    """Macro-F1 in the end, of trials that were trained; a stopped curve rises as the median of those that went on."""
    complete = [lesson for lesson in lessons if lesson.final_f1 is not None]
    rises: dict[tuple[str, int], float] = {}

    def rise(group: str, epoch: int) -> float:
        if (group, epoch) not in rises:
            longer = [lesson for lesson in complete if len(lesson.curve) >= epoch]
            alike = [lesson for lesson in longer if lesson.group == group] or longer
            factors = [(lesson.final_f1 or 0.0) / max(lesson.curve[epoch - 1], _LEAST_F1) for lesson in alike]
            rises[group, epoch] = statistics.median(factors) if factors else 1.0
        return rises[group, epoch]

    return [
        min(1.0, lesson.curve[-1] * rise(lesson.group, len(lesson.curve)))
        if lesson.final_f1 is None
        else lesson.final_f1
        for lesson in lessons
    ]


def _encode(every: Sequence[Parameters]) -> Floats:
    """Parameters as numbers, a column each; text is numbered, and -1 stands where a genome lacks a gene."""
    columns: dict[str, int] = {}
    codes: dict[tuple[str, str], float] = {}
    for parameters in every:
        for name, value in parameters.items():
            columns.setdefault(name, len(columns))
            if isinstance(value, str):
                codes.setdefault((name, value), float(len(codes)))
    encoded = np.full((len(every), len(columns)), -1.0)
    for row, parameters in enumerate(every):
        for name, value in parameters.items():
            encoded[row, columns[name]] = codes[name, value] if isinstance(value, str) else float(value)
    return encoded


def _trees(known: Floats, values: Sequence[float], asked: Floats, seed: int) -> Floats:
    """What each tree says of each draft, [T, D]."""
    forest = ExtraTreesRegressor(n_estimators=_NUM_TREES, max_features=0.5, random_state=seed)
    forest.fit(known, values)
    return np.array([tree.predict(asked) for tree in forest.estimators_])
