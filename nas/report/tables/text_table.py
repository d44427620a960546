"""Tables of text, for a page and for Markdown."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PlainTable:
    """A table whose cells are ready to be read.

    Attributes:
        text_columns: How many of the first columns are words; the others are numbers.
        marked: The row that the reader looks for, if any.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1
    marked: int | None = None

    def as_markdown(self) -> str:
        """With its title as a heading; numbers stand on the right."""
        marks = ["---" if place < self.text_columns else "---:" for place in range(len(self.columns))]
        lines = [_line(self.columns), "|" + "|".join(marks) + "|", *(_line(row) for row in self.rows)]
        return f"## {_escaped(self.title)}\n\n" + "\n".join(lines)


def non_breaking(figure: object) -> str:
    """A figure in words that no line break parts."""
    return str(figure).replace(" ", "\u00a0")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(cell: str) -> str:
    """What Markdown would take for a table's edge, a tag or a new row."""
    return html.escape(cell, quote=False).replace("|", "\\|").replace("\n", " ")
