"""Paired bootstrap: difference in macro-F1 between two networks over test images and seeds.

Dimensions: S seeds, N images, K classes, B resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.results.predictions_on_test_images import Predictions
from nas.results.seed_spread import CONFIDENCE

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RESAMPLES = 2_000


@dataclass(frozen=True)
class Difference:
    """Difference between the mean macro-F1 of two networks on the same test images.

    Attributes:
        mean: First network minus second.
        low: Lower end of the 95 % bootstrap interval.
        high: Upper end of the interval.
        p_equal: Two-sided p-value of equality.
        p_worse: One-sided p-value of the first being worse by the margin or more.
        margin: Margin of non-inferiority.
    """

    mean: float
    low: float
    high: float
    p_equal: float
    p_worse: float
    margin: float


def compare(
    first: Sequence[Predictions], second: Sequence[Predictions], *, margin: float, resamples: int = RESAMPLES
) -> Difference:
    """Compare two networks by a paired bootstrap over test images, with seeds nested in it.

    Each resample draws N of the images, the same for both networks, and for each network S - 1 of its S seeds, all with
    replacement: S draws of so few seeds would underestimate the variance of the mean by a factor (S - 1) / S.
    With one seed the interval covers the variation of the images alone.

    Args:
        first: Predictions of the first network, one for each seed.
        second: Predictions of the second network, one for each seed.
        margin: Margin of non-inferiority.
        resamples: Number of bootstrap resamples.

    Raises:
        ValueError: The predictions are for different images.

    Source: Efron & Tibshirani, 1993, chapters 8 and 16; S - 1 draws: McCarthy & Snowden, "The bootstrap and finite
    population sampling", 1985.
    """
    labels = first[0].labels
    if any(not np.array_equal(one.labels, labels) for one in (*first, *second)):
        raise ValueError("predictions of different images cannot be compared")
    num_classes = first[0].logits.shape[1]
    generator = np.random.default_rng(0)
    scorers = [[_SeedScorer(labels, one.classes, num_classes) for one in side] for side in (first, second)]
    unweighted = _Weighting(labels, np.ones(len(labels)), num_classes)
    differences = np.empty(resamples)
    for index in range(resamples):
        drawn_N = generator.integers(len(labels), size=len(labels))
        weighting = _Weighting(labels, np.bincount(drawn_N, minlength=len(labels)).astype(np.float64), num_classes)
        mean_first, mean_second = (_mean_over_seeds(side, weighting, generator) for side in scorers)
        differences[index] = mean_first - mean_second
    mean_first, mean_second = (float(np.mean([one.macro_f1(unweighted) for one in side])) for side in scorers)
    low, high = np.quantile(differences, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Difference(
        mean=mean_first - mean_second,
        low=float(low),
        high=float(high),
        p_equal=min(1.0, 2 * min(_p_value(differences <= 0), _p_value(differences >= 0))),
        p_worse=_p_value(differences <= -margin),
        margin=margin,
    )


class _Weighting:
    """Weights of the images in a resample, and the weighted support of the classes."""

    def __init__(self, labels: Integers, weights_N: Floats, num_classes: int) -> None:
        self.weights_N = weights_N
        self.support_K: Floats = np.bincount(labels, weights_N, num_classes).astype(np.float64)


class _SeedScorer:
    """Scorer of one seed's predictions under image weights."""

    def __init__(self, labels: Integers, predicted: Integers, num_classes: int) -> None:
        self._predicted, self._num_classes = predicted, num_classes
        self._is_correct = labels == predicted
        self._correct_labels = labels[self._is_correct]

    def macro_f1(self, weighting: _Weighting) -> float:
        """Weighted macro-F1 over the occurring classes, as in scikit-learn."""
        true_positives_K = np.bincount(self._correct_labels, weighting.weights_N[self._is_correct], self._num_classes)
        denominator_K = weighting.support_K + np.bincount(self._predicted, weighting.weights_N, self._num_classes)
        occurs_K = denominator_K > 0
        return float((2 * true_positives_K[occurs_K] / denominator_K[occurs_K]).mean())


def _mean_over_seeds(seeds: Sequence[_SeedScorer], weighting: _Weighting, generator: np.random.Generator) -> float:
    drawn = generator.integers(len(seeds), size=max(1, len(seeds) - 1))
    chosen, times = np.unique(drawn, return_counts=True)
    scores = [seeds[index].macro_f1(weighting) for index in chosen]
    return float(np.average(scores, weights=times))


def _p_value(events: NDArray[np.bool_]) -> float:
    """Share of events with the observed sample included, thus never 0 (Davison & Hinkley, 1997, section 4.2)."""
    return (int(events.sum()) + 1) / (len(events) + 1)
