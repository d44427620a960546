"""Classification metrics from a confusion matrix, with scikit-learn's definitions and `zero_division=0`.

Dimensions: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nas.results.metrics import ClassScores, Scores
from nas.study.score_definitions import MACRO_F1, score_definition


def confusion_matrix(labels_N: Tensor, predictions_N: Tensor, num_classes: int) -> Tensor:
    """Confusion matrix [K, K], int64: rows are true classes, columns are predicted classes."""
    flat = torch.bincount(labels_N * num_classes + predictions_N, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes)


def classification_scores(confusion_KK: Tensor, class_names: Sequence[str], score: str = MACRO_F1) -> Scores:
    """All scores of a split.

    Macro averages cover the classes that occur among the labels or the predictions, which is scikit-learn's default
    without `labels`. `Scores.absent` names the classes without images.

    Args:
        score: Name of the score that the study maximises (`nas.study.score_definitions`).
    """
    counts_KK = confusion_KK.double().cpu()
    hits_K = counts_KK.diag()
    support_K, predicted_K = counts_KK.sum(1), counts_KK.sum(0)
    precision_K = _safe_divide(hits_K, predicted_K)
    recall_K = _safe_divide(hits_K, support_K)
    f1_K = _safe_divide(2 * hits_K, support_K + predicted_K)
    occurs_K = (support_K + predicted_K) > 0
    accuracy = float(_safe_divide(hits_K.sum(), support_K.sum()))
    per_class = tuple(
        ClassScores(name, float(precision_K[k]), float(recall_K[k]), float(f1_K[k]), int(support_K[k]))
        for k, name in enumerate(class_names)
    )
    return Scores(
        accuracy=accuracy,
        precision_macro=float(precision_K[occurs_K].mean()),
        recall_macro=float(recall_K[occurs_K].mean()),
        f1_macro=float(f1_K[occurs_K].mean()),
        # With one label per image, every micro average equals the accuracy.
        precision_micro=accuracy,
        recall_micro=accuracy,
        f1_micro=accuracy,
        per_class=per_class,
        absent=tuple(scores.name for scores in per_class if scores.support == 0),
        objective_score=None if score == MACRO_F1 else objective_score(confusion_KK, class_names, score),
    )


def objective_score(confusion_KK: Tensor, class_names: Sequence[str], score: str = MACRO_F1) -> float:
    """Score that a study maximises, as `Scores.objective`."""
    if score == MACRO_F1:
        return macro_f1(confusion_KK)
    return score_definition(score).value(confusion_KK.double().cpu().numpy(), class_names)


def macro_f1(confusion_KK: Tensor) -> float:
    """Macro-F1, with the definition of `classification_scores`."""
    counts_KK = confusion_KK.double()
    occurring_K = counts_KK.sum(0) + counts_KK.sum(1)
    return float(_safe_divide(2 * counts_KK.diag(), occurring_K)[occurring_K > 0].mean())


def _safe_divide(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Quotient, with 0 where the denominator is 0."""
    return torch.where(denominator > 0, numerator / denominator.clamp_min(1), torch.zeros_like(numerator))
