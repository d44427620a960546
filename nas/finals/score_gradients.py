"""Gradients of the built-in scores by the cells of a confusion matrix, as formulas.

Dimensions: K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.study.score_definitions import Confusion, class_of


def score_gradient(name: str, confusion_KK: Confusion, classes: Sequence[str]) -> Confusion | None:
    """Return the derivative of a score by each cell, [K, K]; None for a score without a formula here.

    Args:
        classes: Names of the classes.
    """
    class_name = class_of(name)
    if class_name is not None:
        gradient_KK = np.zeros_like(confusion_KK)
        place = list(classes).index(class_name)
        gradient_KK[place] = _recall_gradients(confusion_KK)[place]
        return gradient_KK
    match name:
        case "accuracy":
            accuracy = confusion_KK.trace() / confusion_KK.sum()
            gradient: Confusion = (np.eye(len(confusion_KK)) - accuracy) / confusion_KK.sum()
            return gradient
        case "balanced_accuracy":
            # Classes without images are left out of the mean; their rows are 0.
            mean: Confusion = _recall_gradients(confusion_KK) / np.count_nonzero(confusion_KK.sum(1))
            return mean
        case "weighted_f1":
            return _weighted_f1_gradient(confusion_KK)
        case _:
            return None


def _recall_gradients(confusion_KK: Confusion) -> Confusion:
    """Derivative of each class's recall by the cells of its row; that by others is 0."""
    images_K1 = np.maximum(confusion_KK.sum(1, keepdims=True), 1e-300)
    recall_K1 = confusion_KK.diagonal()[:, None] / images_K1
    has_images_K1 = confusion_KK.sum(1, keepdims=True) > 0
    gradient: Confusion = np.where(has_images_K1, np.eye(len(images_K1)) - recall_K1, 0.0) / images_K1
    return gradient


def _weighted_f1_gradient(confusion_KK: Confusion) -> Confusion:
    """Derivative of Σ w F1 / Σ w, where a class has w images, F1 = 2 TP / D, and D labels and predictions."""
    images_K, total = confusion_KK.sum(1), confusion_KK.sum()
    denominator_K = np.maximum(images_K + confusion_KK.sum(0), 1e-300)
    f1_K = 2 * confusion_KK.diagonal() / denominator_K
    loss_K = images_K * f1_K / denominator_K
    gain_KK = np.diag(2 * images_K / denominator_K)
    weighted_f1 = f1_K @ images_K / total
    gradient: Confusion = (gain_KK + (f1_K - loss_K)[:, None] - loss_K[None, :] - weighted_f1) / total
    return gradient
