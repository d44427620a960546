"""What scores over seeds and test images say, and how surely. Pure.

Dimensions: S seeds, N images, K classes, B resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.results.seed_spread import CONFIDENCE
from nas.results.test_predictions import Predictions

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RESAMPLES = 2_000


@dataclass(frozen=True)
class Difference:
    """A network's mean macro-F1 less another's, over the same test images.

    Attributes:
        low: Lower end of the 95 % interval of the bootstrap.
        high: Its upper end.
        p_equal: Two-sided, that they are equal.
        p_worse: One-sided, that the first is worse by the margin or more.
        margin: By how much it may be worse to pass as no worse.
    """

    mean: float
    low: float
    high: float
    p_equal: float
    p_worse: float
    margin: float


def compare(
    ours: Sequence[Predictions], theirs: Sequence[Predictions], *, margin: float, resamples: int = RESAMPLES
) -> Difference:
    """Compare two networks by a paired bootstrap over test images, with seeds nested in it.

    Each resample draws N of the images, the same for both networks, and for each network S - 1 of its S seeds, all with
    replacement: of so few seeds as many draws as there are would make the mean look surer than it is by (S - 1) / S.
    With one seed the interval knows of the images alone.

    Args:
        ours: What the network said of the test images, of each seed.
        theirs: What the other said.

    Raises:
        ValueError: They are not of the same images.

    Source: Efron & Tibshirani, 1993, chapters 8 and 16; S - 1 draws: McCarthy & Snowden, "The bootstrap and finite
    population sampling", 1985.
    """
    labels = ours[0].labels
    if any(not np.array_equal(one.labels, labels) for one in (*ours, *theirs)):
        raise ValueError("predictions of different images cannot be compared")
    num_classes = ours[0].logits.shape[1]
    generator = np.random.default_rng(0)
    counters = [[_Counter(labels, one.classes, num_classes) for one in side] for side in (ours, theirs)]
    everything = _Weighting(labels, np.ones(len(labels)), num_classes)
    differences = np.empty(resamples)
    for index in range(resamples):
        drawn_N = generator.integers(len(labels), size=len(labels))
        weighting = _Weighting(labels, np.bincount(drawn_N, minlength=len(labels)).astype(np.float64), num_classes)
        mean_ours, mean_theirs = (_mean_over_seeds(side, weighting, generator) for side in counters)
        differences[index] = mean_ours - mean_theirs
    mean_ours, mean_theirs = (float(np.mean([one.macro_f1(everything) for one in side])) for side in counters)
    low, high = np.quantile(differences, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Difference(
        mean=mean_ours - mean_theirs,
        low=float(low),
        high=float(high),
        p_equal=min(1.0, 2 * min(_share(differences <= 0), _share(differences >= 0))),
        p_worse=_share(differences <= -margin),
        margin=margin,
    )


class _Weighting:
    """How often each image counts, and by that each class, whatever is predicted."""

    def __init__(self, labels: Integers, weights_N: Floats, num_classes: int) -> None:
        self.weights_N = weights_N
        self.support_K: Floats = np.bincount(labels, weights_N, num_classes).astype(np.float64)


class _Counter:
    """One seed's predictions, ready to be scored with images counted several times or not at all."""

    def __init__(self, labels: Integers, predicted: Integers, num_classes: int) -> None:
        self._predicted, self._num_classes = predicted, num_classes
        self._is_hit = labels == predicted
        self._hits = labels[self._is_hit]

    def macro_f1(self, weighting: _Weighting) -> float:
        """Over the classes that occur, as scikit-learn does it."""
        hits_K = np.bincount(self._hits, weighting.weights_N[self._is_hit], self._num_classes)
        occurring_K = weighting.support_K + np.bincount(self._predicted, weighting.weights_N, self._num_classes)
        occurs_K = occurring_K > 0
        return float((2 * hits_K[occurs_K] / occurring_K[occurs_K]).mean())


def _mean_over_seeds(seeds: Sequence[_Counter], weighting: _Weighting, generator: np.random.Generator) -> float:
    drawn = generator.integers(len(seeds), size=max(1, len(seeds) - 1))
    chosen, times = np.unique(drawn, return_counts=True)
    scores = [seeds[index].macro_f1(weighting) for index in chosen]
    return float(np.average(scores, weights=times))


def _share(happened: NDArray[np.bool_]) -> float:
    """How often, with the observed sample counted in, so that it is never 0 (Davison & Hinkley, 1997, section 4.2)."""
    return (int(happened.sum()) + 1) / (len(happened) + 1)
