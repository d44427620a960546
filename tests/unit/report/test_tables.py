from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console
from rich.table import Table

from nas.facts import DataFacts
from nas.outcome import Cost
from nas.report.tables import class_table, curve_table, facts_table, front_table, preview_table
from nas.search.summary import FrontSummary
from nas.worker.messages import Sample, SpacePreview
from tests.unit.search.examples import VGG, baseline, record

FACTS = DataFacts("[red]cats", ("a", "[b]"), 3, 8, 9, (1000, 50), (7, 0), 4, (0.1,) * 3, (1.0,) * 3)


def _rows(table: Table) -> list[list[str]]:
    """The cells of each printed line, the title and the rules left out."""
    output = io.StringIO()
    Console(file=output, width=300).print(table)
    lines = [line for line in output.getvalue().splitlines() if "│" in line or "┃" in line]
    return [[cell.strip() for cell in line.replace("┃", "│").strip("│").split("│")] for line in lines]


def test_the_front_is_shown_against_the_baseline() -> None:
    summary = FrontSummary("s", baseline(0.7), (record(1, 0.6, 1_000), record(2, 0.8, 2_000_000)), 1.0)
    header, *rows = _rows(front_table(summary))
    assert header == ["trial", "family", "macro-F1", "accuracy", "params", "MFLOPs", "smaller", "macro-F1 vs baseline"]
    assert rows == [
        ["1", "vgg", "0.6000", "0.6100", "1,000", "2.5", "11,000.0x", "-0.1000 (below)"],
        ["2", "vgg", "0.8000", "0.6100", "2,000,000", "2.5", "5.5x", "+0.1000 (at least equal)"],
        ["0", "resnet18", "0.7000", "0.6100", "11,000,000", "2.5", "1x", "the baseline"],
    ]


def test_a_front_without_a_baseline() -> None:
    (_, row) = _rows(front_table(FrontSummary("s", None, (record(1, 0.6),), 1.0)))
    assert row[-2:] == ["-", "no baseline yet"]


def test_classes_rarest_first_with_names_as_they_are() -> None:
    header, *rows = _rows(class_table(record(1, 0.6)))
    assert header == ["class", "images", "precision", "recall", "F1"]
    assert rows == [["[b]", "0", "0.000", "0.000", "0.000"], ["a", "40", "0.100", "0.200", "0.300"]]


def test_the_curve_has_a_row_an_epoch() -> None:
    _, *rows = _rows(curve_table(record(1, 0.6)))
    assert rows[1] == ["2", "0.5000", "1.0000", "0.6000", "0.6100", "1,234", "3.0"]
    assert len(rows) == 2


def test_facts() -> None:
    rows = dict(_rows(facts_table(FACTS)))
    assert rows == {
        "images": "3 x 8 x 9 pixels, 2 classes",
        "splits": "1,050 train, 7 validation, 4 test (unopened)",
        "imbalance": "20.0 : 1 (1,000 to 50 training images of a class)",
        "not in validation": "[b]",
    }
    assert "not in validation" not in dict(_rows(facts_table(replace(FACTS, validation_counts=(7, 1)))))
    output = io.StringIO()
    Console(file=output, width=300).print(facts_table(FACTS))
    assert "Data: [red]cats" in output.getvalue()


def test_a_preview_marks_its_smallest() -> None:
    smallest, other = Sample(VGG, Cost(1000, 2_000_000)), Sample(VGG, Cost(3000, 2_000_000))
    _, *rows = _rows(preview_table(SpacePreview(smallest, (other,), 1.0)))
    assert [row[:3] for row in rows] == [["vgg (smallest)", "1,000", "2.0"], ["vgg", "3,000", "2.0"]]
    assert "depths=(1, 2)" in rows[0][3]
    assert "family" not in rows[0][3]
