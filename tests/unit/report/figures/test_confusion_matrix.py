from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nas.report.figures.confusion_matrix import confusion_figure, most_confused, worst_confused_classes
from tests.unit.report.figures.figure_text import plain_text
from tests.unit.report.synthetic_report import synthetic_comparison, synthetic_dataset

COMPARISON = synthetic_comparison(synthetic_dataset(4))


def test_confusion_is_a_share_of_each_true_class() -> None:
    counts = np.array([[3, 1], [0, 0]])
    (cells,) = confusion_figure(counts, ["a", "b"], "a network").data
    assert np.square(np.array(cells.z)) == pytest.approx(np.array([[0.75, 0.25], [0, 0]]), abs=1e-3)
    assert cells.customdata[0][1] == ["a", "b", "1", "25.0%"]
    assert [plain_text(text) for text in cells.text[0]] == ["3", "1"]


@pytest.mark.parametrize("num_classes", [2, 62])
def test_every_class_has_its_label_on_both_sides(num_classes: int) -> None:
    comparison = synthetic_comparison(synthetic_dataset(num_classes))
    figure = confusion_figure(comparison.confusion(comparison.finalist), comparison.classes, "a network")
    for side in (figure.layout.xaxis, figure.layout.yaxis):
        assert [plain_text(label) for label in side.ticktext] == list(comparison.classes)
    assert (figure.data[0].text is None) == (num_classes == 62)


def test_the_most_confused_pairs_are_counted_and_their_surest_images_first() -> None:
    finalist = replace(
        COMPARISON.finalist,
        predictions=np.array([1, 1, 0, 0, 2, 2]),
        confidences=np.array([0.5, 0.9, 0.9, 0.9, 0.6, 0.7], np.float32),
    )
    comparison = replace(COMPARISON, labels=np.array([0, 0, 0, 1, 1, 2]), finalist=finalist)
    pairs = most_confused(comparison, finalist)
    assert [(pair.truth, pair.predicted, pair.count) for pair in pairs] == [(0, 1, 2), (1, 0, 1), (1, 2, 1)]
    assert pairs[0].examples == (1, 0)
    assert pairs[0].share == pytest.approx(2 / 3)


def test_the_worst_classes_are_those_with_the_most_confused_images() -> None:
    confusion_KK = np.diag(np.full(200, 9))
    confusion_KK[150, 3] = 5
    confusion_KK[7, 199] = 6
    worst = worst_confused_classes(confusion_KK)
    assert len(worst) == 60
    assert {3, 7, 150, 199} <= set(worst)
    assert worst == sorted(worst)
