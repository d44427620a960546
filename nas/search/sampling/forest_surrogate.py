"""Forest surrogate: predict score, costs and training time of untrained genomes from the trials so far.

Forests of randomised trees map parameters to the score, to each cost and to time. They support genes that only some
genomes have, need no scaling, and the spread of their trees measures the uncertainty. Stopped trials are observations
as well, with their curves extrapolated to the last epoch.

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
from scipy.special import ndtr
from sklearn.ensemble import ExtraTreesRegressor

from nas.search.pareto_front import Objectives, pareto_front
from nas.study.cost_definitions import PARAMS

Floats = NDArray[np.float64]
Parameters = Mapping[str, Any]

_NUM_TREES = 20
_SCORE_DEVIATION = 0.01
"""Least standard deviation of a predicted macro-F1: two trainings of one genome differ by half of it."""
_NUM_COMPARED = 5
_LEAST_F1 = 1e-3
"""Lower bound of a score in extrapolation: a curve from 0 would rise without bounds."""


@dataclass(frozen=True)
class Observation:
    """Data of one trial to which the surrogate is fitted.

    Attributes:
        log10_costs: log10 of each measured cost by its name, the number of parameters among them.
        curve: Score after each epoch; empty without training, when only the costs are used.
        final_f1: Objective value; None for a stopped trial.
        seconds: Duration of the training up to its end; None if not comparable with others.
        group: Group of comparable learning curves, see `comparable_group`.
    """

    parameters: Parameters
    log10_costs: Mapping[str, float]
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
        scores: Prediction of each tree, [T, C].
        log10_costs: Each asked cost by its name, counted or the mean over the trees, [C].
        log10_seconds: Duration of an epoch, mean over the trees, [C].
        cost: Name of the cost that is minimised.
    """

    scores: Floats
    log10_costs: Mapping[str, Floats]
    log10_seconds: Floats
    cost: str = PARAMS

    @property
    def log10_cost(self) -> Floats:
        """Cost that is minimised, [C]."""
        return self.log10_costs[self.cost]

    @classmethod
    def fit_predict(
        cls, candidates: Sequence[Candidate], observations: Sequence[Observation], seed: int,
        costs: Sequence[str] = (PARAMS,),
    ) -> SurrogatePrediction:  # fmt: skip
        """Fit forests to the observations, at least one of them trained and timed, and predict the candidates.

        Where the sizes of all candidates are known, size is an input of the other forests.

        Args:
            costs: Names of the costs to predict; the first is minimised.
        """
        encoded = _encode([*(one.parameters for one in observations), *(one.parameters for one in candidates)])
        observed, unobserved = encoded[: len(observations)], encoded[len(observations) :]
        log10_costs: dict[str, Floats] = {}
        if all(one.log10_params is not None for one in candidates):
            sizes = np.array([one.log10_params for one in candidates], dtype=np.float64)
            log10_costs[PARAMS] = sizes
            observed_sizes = np.array([one.log10_costs[PARAMS] for one in observations])
            observed, unobserved = np.c_[observed, observed_sizes], np.c_[unobserved, sizes]
        for name in costs:
            if name not in log10_costs:
                values = [one.log10_costs[name] for one in observations]
                log10_costs[name] = _predict(observed, values, unobserved, seed).mean(0)
        trained = [row for row, one in enumerate(observations) if one.curve]
        timed = [(row, one.seconds / len(one.curve)) for row, one in enumerate(observations) if one.seconds]
        log10_seconds = [math.log10(seconds) for _, seconds in timed]
        return cls(
            scores=_predict(observed[trained], final_scores([observations[row] for row in trained]), unobserved, seed),
            log10_costs=log10_costs,
            log10_seconds=_predict(observed[[row for row, _ in timed]], log10_seconds, unobserved, seed).mean(0),
            cost=costs[0],
        )

    def hypervolume_gains(self, front: Sequence[Objectives]) -> Floats:
        """Hypervolume that each candidate would add to a front, mean over the trees, [C].

        The reference point is score 0 and twice the highest cost of the front and the candidates.
        """
        steps = pareto_front(front, lambda point: point)
        sizes = [point.log10_cost for point in steps]
        corner = max([*sizes, float(self.log10_cost.max())]) + math.log10(2)
        edges = np.array([-math.inf, *sizes, corner])
        floors_S = np.array([0.0, *(point.score for point in steps)])
        widths_CS = (edges[1:] - np.maximum(edges[:-1], self.log10_cost[:, None])).clip(0.0)
        heights_TCS = (self.scores[..., None] - floors_S).clip(0.0)
        gains: Floats = (heights_TCS * widths_CS).sum(-1).mean(0)
        return gains

    def target_gains(self, front: Sequence[Objectives], target_f1: float) -> Floats:
        """Gain of each candidate for the lowest cost at a target, [C].

        A score is normally distributed around the mean of the trees, with their spread and `_SCORE_DEVIATION`, since a
        forest predicts nothing above what it has seen. Before the target is reached, the gain is the expected rise of
        the best score, up to the target; afterwards it is the probability of the target times the decades below the
        lowest cost at it.
        """
        means_C = self.scores.mean(0)
        deviations_C = np.sqrt(self.scores.var(0) + _SCORE_DEVIATION**2)
        at_target = [point.log10_cost for point in front if point.score >= target_f1]
        if at_target:
            decades_C = (min(at_target) - self.log10_cost).clip(0.0)
            gains: Floats = ndtr((means_C - target_f1) / deviations_C) * decades_C
            return gains
        best = max(point.score for point in front)
        return _expected_excess(means_C, deviations_C, best) - _expected_excess(means_C, deviations_C, target_f1)


def _expected_excess(means: Floats, deviations: Floats, threshold: float) -> Floats:
    """Expected excess of normally distributed values over a threshold."""
    scaled = (means - threshold) / deviations
    excess: Floats = deviations * (scaled * ndtr(scaled) + np.exp(-(scaled**2) / 2) / math.sqrt(2 * math.pi))
    return excess


def final_scores(observations: Sequence[Observation]) -> list[float]:
    """Final macro-F1 of trained trials; a stopped curve is extrapolated by the complete trials of its size.

    Its rise is the median over the `_NUM_COMPARED` of them that are nearest in size, and their best score is its limit:
    after a few epochs small networks are ahead of their end, and those that learn at once are ahead of the others.
    """
    complete = [one for one in observations if one.final_f1 is not None]

    def extrapolate(stopped: Observation) -> float:
        epoch, latest = len(stopped.curve), stopped.curve[-1]
        longer = [one for one in complete if len(one.curve) >= epoch]
        comparable = [one for one in longer if one.group == stopped.group] or longer
        if not comparable:
            return latest
        size = stopped.log10_costs[PARAMS]
        nearest = sorted(comparable, key=lambda one: abs(one.log10_costs[PARAMS] - size))[:_NUM_COMPARED]
        rise = statistics.median((one.final_f1 or 0.0) / max(one.curve[epoch - 1], _LEAST_F1) for one in nearest)
        return max(latest, min(latest * rise, max(one.final_f1 or 0.0 for one in nearest)))

    return [extrapolate(one) if one.final_f1 is None else one.final_f1 for one in observations]


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
