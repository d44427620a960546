"""Text and cells of rich tables."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table


def rows_of(table: Table) -> list[list[str]]:
    """Return the cells of each printed line, without title and rules."""
    lines = [line for line in text_of(table).splitlines() if "│" in line or "┃" in line]
    return [[cell.strip() for cell in line.replace("┃", "│").strip("│").split("│")] for line in lines]


def text_of(table: Table) -> str:
    """Render the table for a terminal of 300 columns."""
    output = io.StringIO()
    Console(file=output, width=300).print(table)
    return output.getvalue()
