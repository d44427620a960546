"""ROC and precision-recall curves of a classifier, micro and macro averaged.

Dimensions: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from nas.results.network_analysis import ClassificationCurves, Curve, Floats, Integers

GRID = np.linspace(0.0, 1.0, 201, dtype=np.float32)
"""Abscissae at which curves are sampled: the exact curves have one step per image, more than a figure resolves."""


def classification_curves(probabilities_NK: Floats, labels_N: Integers) -> ClassificationCurves:
    """Compute one-vs-rest curves and their averages.

    Macro averages are taken at equal false positive rate or recall, over the classes with positive and negative
    examples. Precision is interpolated: the maximum at the same or a higher recall, so that it never rises.
    """
    truth_NK = labels_N[:, None] == np.arange(probabilities_NK.shape[1])
    has_both_K = truth_NK.any(0) & ~truth_NK.all(0)
    truths, scores = truth_NK[:, has_both_K].T, probabilities_NK[:, has_both_K].T
    pooled_truth, pooled_scores = truth_NK.ravel(), probabilities_NK.ravel()
    rocs = tuple(_roc(*pair) for pair in zip(truths, scores, strict=True))
    precisions = tuple(_precision_recall(*pair) for pair in zip(truths, scores, strict=True))
    is_binary = len(rocs) == probabilities_NK.shape[1] == 2
    return ClassificationCurves(
        roc_micro=_roc(pooled_truth, pooled_scores),
        roc_macro=_mean_curve(rocs),
        precision_recall_micro=_precision_recall(pooled_truth, pooled_scores),
        precision_recall_macro=_mean_curve(precisions),
        roc_by_class=rocs if is_binary else (),
        precision_recall_by_class=precisions if is_binary else (),
    )


def _mean_curve(curves: Sequence[Curve]) -> Curve:
    mean: Floats = np.mean([curve.y for curve in curves], axis=0, dtype=np.float32)
    return Curve(GRID, mean, float(np.mean([curve.area for curve in curves])))


def _roc(truth: Floats, scores: Floats) -> Curve:
    """Sample the true positive rate at the grid of false positive rates."""
    false_positive_rate, true_positive_rate, _ = roc_curve(truth, scores)
    rates: Floats = np.interp(GRID, false_positive_rate, true_positive_rate).astype(np.float32)
    return Curve(GRID, rates, float(roc_auc_score(truth, scores)))


def _precision_recall(truth: Floats, scores: Floats) -> Curve:
    """Sample the interpolated precision at the grid of recalls (Everingham et al., "Pascal VOC", 2010, section 4.2)."""
    precision, recall, _ = precision_recall_curve(truth, scores)
    # Recall falls along the arrays; a running maximum gives the best precision at the same or a higher recall.
    best = np.maximum.accumulate(precision[:-1])
    indices = np.searchsorted(-recall[:-1], -GRID, side="right") - 1
    precisions = best[np.clip(indices, 0, None)].astype(np.float32)
    return Curve(GRID, precisions, float(average_precision_score(truth, scores)))
