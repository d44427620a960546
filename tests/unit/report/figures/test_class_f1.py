from __future__ import annotations

from nas.report.figures.class_f1 import ClassF1Series, class_f1_figure
from tests.unit.report.figures.figure_text import plain_text


def test_classes_stand_from_rare_to_frequent_with_a_mark_a_network() -> None:
    ours = ClassF1Series("ours", "#000000", "circle", (0.1, None, 0.3))
    theirs = ClassF1Series("theirs", "#111111", "diamond", (0.4, 0.5, 0.2))
    figure = class_f1_figure(["a", "b", "c"], [30, 10, 20], [ours, theirs], "validation images")
    assert [plain_text(label) for label in figure.layout.yaxis.ticktext] == ["b (10)", "c (20)", "a (30)"]
    top, bottom = figure.layout.yaxis.range
    assert top > bottom  # The first row is on top.
    rules, first, second = figure.data
    assert list(first.x) == [0.3, 0.1]
    assert list(first.y) == [1, 2]
    assert list(second.x) == [0.5, 0.2, 0.4]
    assert list(rules.x) == [0.5, 0.5, None, 0.2, 0.3, None, 0.1, 0.4, None]
