"""Paired comparison of the scores of two networks over test images and seeds.

Dimensions: S seeds, N images, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.finals.score_influence import MACRO_F1_SCORE, ComparedScore, Floats
from nas.results.predictions_on_test_images import Predictions
from nas.results.seed_spread import CONFIDENCE

ALPHA = 0.05
"""Level of each test."""


@dataclass(frozen=True)
class Difference:
    """Difference between the mean scores of two networks on the same test images.

    Attributes:
        mean: First network minus second.
        low: Lower end of the two-sided 95 % confidence interval.
        high: Upper end of the interval.
        p_equal: Two-sided p-value of equality.
        p_worse: One-sided p-value of the first being worse by the margin or more.
        margin: Margin of non-inferiority.
        bound: One-sided lower 95 % confidence bound, above -margin exactly if `p_worse` is below 0.05; it is the lower
            end of the two-sided 90 % interval.
        num_seeds: Seeds of the network with fewer. With one the interval covers the variation of the images alone, so
            it decides nothing.
    """

    mean: float
    low: float
    high: float
    p_equal: float
    p_worse: float
    margin: float
    bound: float
    num_seeds: int


def interval_over_images(predictions: Predictions, score: ComparedScore = MACRO_F1_SCORE) -> tuple[float, float]:
    """Two-sided 95 % confidence interval of the score of one network over test images, by the delta method."""
    scores, influence_N = _scores_and_mean_influence([predictions], score)
    num_images = len(influence_N)
    variance = float((influence_N**2).sum()) * num_images / max(1, num_images - 1)
    estimate = _Estimate.of(float(scores[0]), [(variance, num_images - 1)])
    half = estimate.half_width(0.5 + CONFIDENCE / 2)
    return max(0.0, estimate.mean - half), min(1.0, estimate.mean + half)


def compare(
    first: Sequence[Predictions], second: Sequence[Predictions] | float, *, margin: float,
    score: ComparedScore = MACRO_F1_SCORE,
) -> Difference:  # fmt: skip
    """Compare two networks on the same images, each by the mean score of its seeds.

    The variance of the difference is the sum of three: that over images with the seeds fixed, by the delta method with
    both networks' influences of an image paired, and each network's variance of the mean over its seeds.
    The variation of single trainings on single images is in all three; the sum is thus too large rather than too small.
    Intervals and p-values are Student's t with Welch and Satterthwaite's degrees of freedom, since few seeds estimate
    their variance poorly. With one seed the images' variance stands alone.

    Args:
        first: Predictions of the first network, one for each seed.
        second: Predictions of the second network, one for each seed; or a score from elsewhere, which is taken as it
            is: nothing is known of its variance.
        margin: Margin of non-inferiority.
        score: Score by which they are compared.

    Raises:
        ValueError: The predictions are for different images.

    Source: delta method for macro-F1: Takahashi et al., "Confidence interval for micro-averaged F1 and macro-averaged
    F1 scores", 2022; images and trainings as two random factors: Gallas et al., "A framework for random-effects ROC
    analysis", 2009; degrees of freedom: Satterthwaite, 1946.
    """
    labels = first[0].labels
    others = () if isinstance(second, float) else second
    if any(not np.array_equal(one.labels, labels) for one in (*first, *others)):
        raise ValueError("predictions of different images cannot be compared")
    num_images = len(labels)
    scores_first, influence_first_N = _scores_and_mean_influence(first, score)
    scores_second, influence_second_N = (
        (np.array([second]), np.zeros(num_images)) if isinstance(second, float)
        else _scores_and_mean_influence(second, score)
    )  # fmt: skip
    over_images = float(((influence_first_N - influence_second_N) ** 2).sum()) * num_images / max(1, num_images - 1)
    over_seeds = [
        (float(scores.var(ddof=1)) / len(scores), len(scores) - 1)
        for scores in (scores_first, scores_second)
        if len(scores) > 1
    ]
    estimate = _Estimate.of(
        float(scores_first.mean() - scores_second.mean()), [(over_images, num_images - 1), *over_seeds]
    )
    half, below_0 = estimate.half_width(0.5 + CONFIDENCE / 2), estimate.p_value_below(0.0)
    return Difference(
        mean=estimate.mean, low=estimate.mean - half, high=estimate.mean + half,
        p_equal=2 * min(below_0, 1 - below_0), p_worse=estimate.p_value_below(-margin), margin=margin,
        bound=estimate.mean - estimate.half_width(1 - ALPHA), num_seeds=min(len(first), len(others) or len(first)),
    )  # fmt: skip


@dataclass(frozen=True)
class _Estimate:
    """Estimate with a Student t distribution of its error."""

    mean: float
    standard_error: float
    degrees: float

    @classmethod
    def of(cls, mean: float, variances: Sequence[tuple[float, int]]) -> _Estimate:
        """Add independent variances, given with their degrees of freedom, by Satterthwaite's approximation."""
        total = sum(variance for variance, _ in variances)
        spread = sum(variance**2 / max(1, degrees) for variance, degrees in variances)
        return cls(mean, math.sqrt(total), total**2 / spread if spread else 1.0)

    def half_width(self, quantile: float) -> float:
        """Distance of a quantile from the mean."""
        return float(_student_t().ppf(quantile, self.degrees)) * self.standard_error

    def p_value_below(self, value: float) -> float:
        """One-sided p-value of the true value being at most this one."""
        if self.standard_error == 0.0:
            return 0.5 if self.mean == value else float(self.mean < value)
        return float(_student_t().cdf((value - self.mean) / self.standard_error, self.degrees))


def _student_t() -> Any:
    # Imported here, because the import of scipy would slow down every command.
    from scipy import stats

    return stats.t


def _scores_and_mean_influence(seeds: Sequence[Predictions], score: ComparedScore) -> tuple[Floats, Floats]:
    """Return the score of each seed, [S], and the images' influence on their mean, [N]."""
    scored = [score.of(one) for one in seeds]
    return np.array([value for value, _ in scored]), np.mean([influence_N for _, influence_N in scored], axis=0)
