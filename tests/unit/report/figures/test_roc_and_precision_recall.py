from __future__ import annotations

from dataclasses import replace

import pytest

from nas.report.figures.named_network import NamedNetwork
from nas.report.figures.roc_and_precision_recall import precision_recall_figure, roc_figure
from tests.unit.report.figures.figure_text import plain_text
from tests.unit.report.synthetic_report import synthetic_comparison, synthetic_dataset

COMPARISON = synthetic_comparison(synthetic_dataset(4))
NETWORK = NamedNetwork("trial 1 (vgg)", "#000000", COMPARISON.finalist)


def test_curves_carry_their_areas() -> None:
    for figure, micro in (
        (roc_figure([NETWORK], COMPARISON.classes), COMPARISON.finalist.discrimination.roc_micro),
        (
            precision_recall_figure([NETWORK], COMPARISON.classes),
            COMPARISON.finalist.discrimination.precision_recall_micro,
        ),
    ):
        first = figure.data[0]
        assert plain_text(first.name) == f"trial 1 (vgg), micro ({micro.area:.3f})"
        assert list(first.y) == pytest.approx(micro.y.tolist(), abs=1e-4)


def test_of_two_classes_each_has_its_own_precision_and_one_roc_curve_is_enough() -> None:
    comparison = synthetic_comparison(synthetic_dataset(2))
    network = replace(NETWORK, analysis=comparison.finalist)
    curves = comparison.finalist.discrimination
    (curve, _) = roc_figure([network], comparison.classes).data
    assert plain_text(curve.name) == f"trial 1 (vgg) ({curves.roc_by_class[1].area:.3f})"
    second, first = precision_recall_figure([network], comparison.classes).data
    assert plain_text(second.name).startswith("trial 1 (vgg), class 1 (")
    assert list(second.y) == pytest.approx(curves.precision_recall_by_class[1].y.tolist(), abs=1e-4)
    assert list(first.y) == pytest.approx(curves.precision_recall_by_class[0].y.tolist(), abs=1e-4)
    assert (second.line.dash, first.line.dash) == ("solid", "dash")
    many = precision_recall_figure([network] * 3, comparison.classes)
    assert [plain_text(one.name) for one in many.data] == [
        f"trial 1 (vgg) ({curves.precision_recall_by_class[1].area:.3f})"
    ] * 3
