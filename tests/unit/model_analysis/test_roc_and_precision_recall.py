"""ROC and precision-recall curves compared with brute-force references."""

from __future__ import annotations

import numpy as np
import pytest

from nas.model_analysis.roc_and_precision_recall import GRID, classification_curves

GENERATOR = np.random.default_rng(3)
LABELS = GENERATOR.integers(0, 3, 60)
PROBABILITIES = GENERATOR.dirichlet([1, 1, 1], 60).astype(np.float32)
PROBABILITIES[np.arange(60), LABELS] += 0.4
CURVES = classification_curves(PROBABILITIES, LABELS)
TRUTH = LABELS[:, None] == np.arange(3)


def area_by_pairs(truth: np.ndarray, scores: np.ndarray) -> float:
    """Probability that a positive example has a higher score than a negative one; a tie counts half."""
    wins = np.subtract.outer(scores[truth], scores[~truth])
    return float((np.sign(wins) + 1).mean() / 2)


def best_precision(truth: np.ndarray, scores: np.ndarray, recall: float) -> float:
    """Best precision over all thresholds that reach a recall."""
    precisions = [
        truth[scores >= threshold].mean()
        for threshold in scores
        if truth[scores >= threshold].sum() / truth.sum() >= recall - 1e-9
    ]
    return float(max(precisions))


def test_areas_are_chances_of_a_right_order() -> None:
    assert CURVES.roc_micro.area == pytest.approx(area_by_pairs(TRUTH.ravel(), PROBABILITIES.ravel()))
    each = [area_by_pairs(TRUTH[:, index], PROBABILITIES[:, index]) for index in range(3)]
    assert CURVES.roc_macro.area == pytest.approx(np.mean(each))


def test_the_area_is_that_under_the_curve() -> None:
    for curve in (CURVES.roc_micro, CURVES.roc_macro):
        assert np.trapezoid(curve.y, curve.x) == pytest.approx(curve.area, abs=0.01)
        assert (np.diff(curve.y) >= 0).all()


@pytest.mark.parametrize("recall", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_precision_is_the_best_at_such_a_recall_or_higher(recall: float) -> None:
    index = int(np.argmin(np.abs(GRID - recall)))
    micro = best_precision(TRUTH.ravel(), PROBABILITIES.ravel(), recall)
    assert CURVES.precision_recall_micro.y[index] == pytest.approx(micro, abs=1e-6)
    each = [best_precision(TRUTH[:, number], PROBABILITIES[:, number], recall) for number in range(3)]
    assert CURVES.precision_recall_macro.y[index] == pytest.approx(np.mean(each), abs=1e-6)


def test_a_perfect_classifier_has_areas_of_one_and_classes_without_images_do_not_count() -> None:
    labels = np.array([0, 0, 2, 2])
    perfect = classification_curves(np.eye(4, dtype=np.float32)[labels], labels)
    for curve in (perfect.roc_micro, perfect.roc_macro, perfect.precision_recall_micro, perfect.precision_recall_macro):
        assert curve.area == pytest.approx(1.0)
        assert curve.y[-1] == 1.0


def test_two_classes_have_their_own_curves() -> None:
    generator = np.random.default_rng(4)
    labels = (generator.random(80) < 0.2).astype(np.int64)
    confidence = np.clip(0.3 + 0.3 * labels + generator.normal(0, 0.2, 80), 0.01, 0.99)
    curves = classification_curves(np.stack([1 - confidence, confidence], 1).astype(np.float32), labels)
    first, second = curves.roc_by_class
    assert first.area == pytest.approx(second.area)
    assert second.area == pytest.approx(area_by_pairs(labels == 1, confidence))
    common, rare = curves.precision_recall_by_class
    assert common.area > rare.area
    for index, (curve, scores) in enumerate(((common, 1 - confidence), (rare, confidence))):
        assert curve.y[100] == pytest.approx(best_precision(labels == index, scores, 0.5), abs=1e-6)
    assert CURVES.roc_by_class == CURVES.precision_recall_by_class == ()
