"""ROC and precision-recall curves of a classifier, micro and macro averaged.

Dimensions: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from nas.results.network_analysis import ClassificationCurves, Curve, Floats, Integers

GRID = np.linspace(0.0, 1.0, 201, dtype=np.float32)
"""Where curves are read off: they have a step an image, of which a figure shows no more."""


def classification_curves(probabilities_NK: Floats, labels_N: Integers) -> ClassificationCurves:
    """Curves of each class against the rest.

    The macro averages are over the classes that some image has and some image has not, at equal false positive rate or
    recall. Precision is interpolated: the best that is had at such a recall or a higher one, so that it never rises.
    """
    truth_NK = labels_N[:, None] == np.arange(probabilities_NK.shape[1])
    told_apart_K = truth_NK.any(0) & ~truth_NK.all(0)
    truths, scores = truth_NK[:, told_apart_K].T, probabilities_NK[:, told_apart_K].T
    every_truth, every_score = truth_NK.ravel(), probabilities_NK.ravel()
    rocs = tuple(_roc(*pair) for pair in zip(truths, scores, strict=True))
    precisions = tuple(_precision_recall(*pair) for pair in zip(truths, scores, strict=True))
    are_two = len(rocs) == probabilities_NK.shape[1] == 2
    return ClassificationCurves(
        roc_micro=_roc(every_truth, every_score),
        roc_macro=_mean_curve(rocs),
        precision_recall_micro=_precision_recall(every_truth, every_score),
        precision_recall_macro=_mean_curve(precisions),
        roc_by_class=rocs if are_two else (),
        precision_recall_by_class=precisions if are_two else (),
    )


def _mean_curve(curves: Sequence[Curve]) -> Curve:
    mean: Floats = np.mean([curve.y for curve in curves], axis=0, dtype=np.float32)
    return Curve(GRID, mean, float(np.mean([curve.area for curve in curves])))


def _roc(truth: Floats, scores: Floats) -> Curve:
    """True positive rate over the grid."""
    false_positive_rate, true_positive_rate, _ = roc_curve(truth, scores)
    rates: Floats = np.interp(GRID, false_positive_rate, true_positive_rate).astype(np.float32)
    return Curve(GRID, rates, float(roc_auc_score(truth, scores)))


def _precision_recall(truth: Floats, scores: Floats) -> Curve:
    """Interpolated precision over the grid of recalls (Everingham et al., "Pascal VOC", 2010, section 4.2)."""
    precision, recall, _ = precision_recall_curve(truth, scores)
    # Recall falls along the arrays, so that the best precision at as much or more comes first.
    best = np.maximum.accumulate(precision[:-1])
    places = np.searchsorted(-recall[:-1], -GRID, side="right") - 1
    precisions = best[np.clip(places, 0, None)].astype(np.float32)
    return Curve(GRID, precisions, float(average_precision_score(truth, scores)))
