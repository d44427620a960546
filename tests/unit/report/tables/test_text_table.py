from __future__ import annotations

from nas.report.tables.text_table import PlainTable


def test_a_cell_cannot_break_its_table() -> None:
    table = PlainTable("t", ("name", "n"), (("a|b\n<c>", "1"),))
    assert table.as_markdown().splitlines()[-1] == "| a\\|b &lt;c&gt; | 1 |"
