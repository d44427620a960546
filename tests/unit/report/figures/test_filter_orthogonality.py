from __future__ import annotations

from dataclasses import replace

import numpy as np

from nas.report.figures.filter_orthogonality import defect_figure, similarity_figure
from nas.report.figures.named_network import NamedNetwork
from tests.unit.report.figures.figure_text import plain_text
from tests.unit.report.synthetic_report import synthetic_comparison, synthetic_dataset

COMPARISON = synthetic_comparison(synthetic_dataset(4))
NETWORK = NamedNetwork("trial 1 (vgg)", "#000000", COMPARISON.finalist)


def test_orthogonal_filters_have_cosine_zero_and_a_zero_filter_has_no_direction() -> None:
    filters = np.zeros((3, 1, 1, 2), np.float32)
    filters[0, 0, 0], filters[1, 0, 0] = (2, 0), (0, 1)
    (cells,) = similarity_figure(replace(NETWORK, analysis=replace(COMPARISON.finalist, filters=filters))).data
    assert np.array_equal(np.array(cells.z), np.diag([1, 1, 0]))


def test_defects_stand_in_forward_order_with_their_mean() -> None:
    (line,) = defect_figure([NETWORK]).data
    assert list(line.y) == [0.5, 0.25, 0.75]
    assert plain_text(line.name) == "trial 1 (vgg) (mean 0.5)"


def test_a_network_without_convolutions_has_no_line_of_defects() -> None:
    mlp = replace(NETWORK, analysis=replace(COMPARISON.finalist, layer_defects=()))
    assert len(defect_figure([mlp, NETWORK]).data) == 1
    alone = defect_figure([mlp])
    assert len(alone.data) == 0
    assert alone.layout.meta["reason"] == "There are no convolutions."


def test_of_very_many_units_some_are_compared() -> None:
    filters = np.random.default_rng(0).normal(size=(500, 1, 28, 28)).astype(np.float32)
    figure = similarity_figure(replace(NETWORK, analysis=replace(COMPARISON.finalist, filters=filters)))
    assert np.array(figure.data[0].z).shape == (128, 128)
    assert "500 filters of 784 weights, 128 of them shown" in figure.layout.meta["note"]
