"""Tables of formatted text, for the HTML page, Markdown and the terminal."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class PlainTable:
    """Table with a title and formatted cells.

    Attributes:
        text_columns: Number of leading columns of text, aligned left; the others are numbers, aligned right.
        marked: Index of the highlighted row, if any.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1
    marked: int | None = None

    def pages(self, num_rows: int) -> list[PlainTable]:
        """Cut a long table into tables of at most `num_rows` rows."""
        if len(self.rows) <= num_rows:
            return [self]
        starts = range(0, len(self.rows), num_rows)
        return [replace(self, rows=self.rows[start : start + num_rows], marked=None) for start in starts]

    def as_markdown(self) -> str:
        """Format as Markdown, with the title, if any, as a heading."""
        alignment = ["---" if place < self.text_columns else "---:" for place in range(len(self.columns))]
        lines = [_line(self.columns), "|" + "|".join(alignment) + "|", *(_line(row) for row in self.rows)]
        heading = f"## {escaped(self.title)}\n\n" if self.title else ""
        return heading + "\n".join(lines)


def non_breaking(value: object) -> str:
    """Text of a value with non-breaking spaces."""
    return str(value).replace(" ", "\u00a0")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(escaped(cell) for cell in cells) + " |"


def escaped(cell: str) -> str:
    """Escape tags, pipes and line breaks for a cell of a Markdown table."""
    return html.escape(cell, quote=False).replace("|", "\\|").replace("\n", " ")
