"""Tables on narrow terminals."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table

from nas.report.terminal.number_table import NumberTable


def rendered(width: int) -> str:
    table = NumberTable(title="Front of [b]letters[/b]", caption="* answer")
    table.add_column("trial", justify="right")
    table.add_column("family")
    table.add_column("params", justify="right")
    table.add_column("macro-F1 vs baseline")
    table.add_row("* 12", "mobilenet", "11,172,423", "equal within the tolerance of the target")
    table.add_row("3", "vgg", "1,234", "")
    output = io.StringIO()
    Console(file=output, width=width).print(table)
    return output.getvalue()


@pytest.mark.parametrize("width", [120, 80, 60, 48])
def test_no_number_is_cut(width: int) -> None:
    text = rendered(width)
    assert "11,172,423" in text
    assert "…" not in text
    assert "│" in text
    assert all(len(line) <= width for line in text.splitlines())


def test_a_bar_in_a_list_is_drawn() -> None:
    table = NumberTable()
    table.add_column("epoch", justify="right")
    table.add_column("params", justify="right")
    bar = Table.grid()
    bar.add_row(ProgressBar(10, 5, width=8))
    table.add_row(bar, "11,172,423")
    output = io.StringIO()
    Console(file=output, width=20).print(table)
    first, drawn, last = output.getvalue().splitlines()
    assert (first.strip(), last) == ("epoch:", "  params: 11,172,423")
    assert "━" in drawn


def test_where_numbers_do_not_fit_it_is_a_list() -> None:
    assert rendered(40).splitlines() == [
        "Front of letters",
        "trial: * 12",
        "  family: mobilenet",
        "  params: 11,172,423",
        "  macro-F1 vs baseline: equal within the",
        "tolerance of the target",
        "trial: 3",
        "  family: vgg",
        "  params: 1,234",
        "* answer",
    ]
