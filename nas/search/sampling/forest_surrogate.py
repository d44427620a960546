"""Forest surrogate: predict macro-F1, size and training time of untrained genomes from the trials so far.

Forests of randomised trees map parameters to macro-F1, size and time. They support genes that only some genomes have,
need no scaling, and the spread of their trees measures the uncertainty. Stopped trials are observations as well, with
their curves extrapolated to the last epoch.

Source: Hutter et al., "Sequential Model-based Optimization for General Algorithm Configuration", 2011; Geurts et al.,
"Extremely randomized trees", 2006.

Dimensions: T trees, C candidates, S steps of the front.
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
_TARGET_BAND = 0.05
"""Macro-F1 below the target in which a network counts for a search of the smallest at it."""
_LEAST_F1 = 1e-3
"""Lower bound of a score in extrapolation: a curve from 0 would rise without bounds."""


@dataclass(frozen=True)
class Observation:
    """Data of one trial to which the surrogate is fitted.

    Attributes:
        log10_params: log10 of the number of parameters.
        curve: Macro-F1 after each epoch; empty without training, when only the size is used.
        final_f1: Objective value; None for a stopped trial.
        seconds: Duration of the training up to its end; None if not comparable with others.
        group: Group of comparable learning curves, see `comparable_group`.
    """

    parameters: Parameters
    log10_params: float
    curve: tuple[float, ...]
    final_f1: float | None
    seconds: float | None
    group: str


@dataclass(frozen=True)
class Candidate:
    """Genome that may be proposed.

    Attributes:
        log10_params: log10 of the number of parameters; None if it is to be predicted.
    """

    parameters: Parameters
    log10_params: float | None = None


@dataclass(frozen=True)
class SurrogatePrediction:
    """Surrogate predictions for each candidate.

    Attributes:
        macro_f1: Prediction of each tree, [T, C].
        log10_params: Mean over the trees, [C].
        log10_seconds: Duration of an epoch, mean over the trees, [C].
    """

    macro_f1: Floats
    log10_params: Floats
    log10_seconds: Floats

    @classmethod
    def fit_predict(
        cls, candidates: Sequence[Candidate], observations: Sequence[Observation], seed: int
    ) -> SurrogatePrediction:
        """Fit forests to the observations, at least one of them trained and timed, and predict the candidates.

        Where the sizes of all candidates are known, size is an input of the other forests.
        """
        encoded = _encode([*(one.parameters for one in observations), *(one.parameters for one in candidates)])
        observed, unobserved = encoded[: len(observations)], encoded[len(observations) :]
        observed_sizes = np.array([one.log10_params for one in observations])
        if all(one.log10_params is not None for one in candidates):
            sizes = np.array([one.log10_params for one in candidates], dtype=np.float64)
            observed, unobserved = np.c_[observed, observed_sizes], np.c_[unobserved, sizes]
        else:
            sizes = _predict(observed, observed_sizes, unobserved, seed).mean(0)
        trained = [row for row, one in enumerate(observations) if one.curve]
        timed = [(row, one.seconds / len(one.curve)) for row, one in enumerate(observations) if one.seconds]
        log10_seconds = [math.log10(seconds) for _, seconds in timed]
        return cls(
            macro_f1=_predict(
                observed[trained], final_scores([observations[row] for row in trained]), unobserved, seed
            ),
            log10_params=sizes,
            log10_seconds=_predict(observed[[row for row, _ in timed]], log10_seconds, unobserved, seed).mean(0),
        )

    def hypervolume_gains(self, front: Sequence[Objectives], floor: float = 0.0, ceiling: float = 1.0) -> Floats:
        """Hypervolume that each candidate would add to a front, mean over the trees, [C].

        The reference point is the floor's macro-F1 and twice the largest network of the front and the candidates.
        Scores above the ceiling count as the ceiling.
        """
        members = pareto_front(front, lambda point: point)
        largest = max([*(point.log10_params for point in members), float(self.log10_params.max())])
        steps = [point for point in members if point.macro_f1 > floor]
        sizes = [point.log10_params for point in steps]
        edges = np.array([-math.inf, *sizes, largest + math.log10(2)])
        floors_S = np.array([floor, *(min(point.macro_f1, ceiling) for point in steps)])
        widths_CS = (edges[1:] - np.maximum(edges[:-1], self.log10_params[:, None])).clip(0.0)
        heights_TCS = (self.macro_f1[..., None].clip(max=ceiling) - floors_S).clip(0.0)
        gains: Floats = (heights_TCS * widths_CS).sum(-1).mean(0)
        return gains

    def target_gains(self, front: Sequence[Objectives], target_f1: float) -> Floats:
        """Gain of each candidate for the smallest network at a target, mean over the trees, [C].

        Before the target is reached, it is the rise of the best score, up to the target, whatever the size; if none is
        expected, and afterwards, the hypervolume in the band of scores of `_TARGET_BAND` below target or best score.
        What exceeds the target does not count, so that at the target only smaller networks gain.
        """
        best = max(point.macro_f1 for point in front)
        if best < target_f1:
            rises: Floats = (self.macro_f1.clip(max=target_f1) - best).clip(0.0).mean(0)
            if rises.any():
                return rises
        return self.hypervolume_gains(front, floor=min(best, target_f1) - _TARGET_BAND, ceiling=target_f1)


def final_scores(observations: Sequence[Observation]) -> list[float]:
    """Final macro-F1 of trained trials; stopped curves are extrapolated by the median rise of complete ones."""
    complete = [one for one in observations if one.final_f1 is not None]
    rises: dict[tuple[str, int], float] = {}

    def rise(group: str, epoch: int) -> float:
        if (group, epoch) not in rises:
            longer = [one for one in complete if len(one.curve) >= epoch]
            comparable = [one for one in longer if one.group == group] or longer
            factors = [(one.final_f1 or 0.0) / max(one.curve[epoch - 1], _LEAST_F1) for one in comparable]
            rises[group, epoch] = statistics.median(factors) if factors else 1.0
        return rises[group, epoch]

    return [
        min(1.0, one.curve[-1] * rise(one.group, len(one.curve))) if one.final_f1 is None else one.final_f1
        for one in observations
    ]


def _encode(genomes: Sequence[Parameters]) -> Floats:
    """Encode parameters as numbers, one column each: text by codes, and -1 where a genome lacks a gene."""
    columns: dict[str, int] = {}
    codes: dict[tuple[str, str], float] = {}
    for parameters in genomes:
        for name, value in parameters.items():
            columns.setdefault(name, len(columns))
            if isinstance(value, str):
                codes.setdefault((name, value), float(len(codes)))
    encoded = np.full((len(genomes), len(columns)), -1.0)
    for row, parameters in enumerate(genomes):
        for name, value in parameters.items():
            encoded[row, columns[name]] = codes[name, value] if isinstance(value, str) else float(value)
    return encoded


def _predict(observed: Floats, values: Sequence[float] | Floats, unobserved: Floats, seed: int) -> Floats:
    """Fit a forest and return the predictions of each tree for each candidate, [T, C]."""
    forest = ExtraTreesRegressor(n_estimators=_NUM_TREES, max_features=0.5, random_state=seed)
    forest.fit(observed, values)
    return np.array([tree.predict(unobserved) for tree in forest.estimators_])
