"""Table of which no number is cut on a narrow terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

_MIN_TEXT_WIDTH = 8
_BORDER_WIDTH = 3


class NumberTable(Table):
    """Table that folds text for its right-aligned columns, and becomes a list where these do not fit."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the table, or a line for each cell."""
        needed = 1
        for column in self.columns:
            width = max(Measurement.get(console, options, cell).maximum for cell in (column.header, *column.cells))
            if column.justify == "right":
                # A heading of several words may be folded.
                words = Measurement.get(console, options, column.header).minimum
                cells = (Measurement.get(console, options, cell).maximum for cell in column.cells)
                column.min_width = width = max(words, *cells, 0)
            else:
                column.overflow = "fold"
                width = min(width, _MIN_TEXT_WIDTH)
            needed += width + _BORDER_WIDTH
        if needed <= options.max_width:
            yield from super().__rich_console__(console, options)
        else:
            yield from self._as_list()

    def _as_list(self) -> Iterator[RenderableType]:
        title, caption = self.title, self.caption
        if title:
            yield Text.from_markup(str(title))
        for cells in zip(*(column.cells for column in self.columns), strict=True):
            for column, cell in zip(self.columns, cells, strict=True):
                if not isinstance(cell, str):
                    yield _line(column, "", is_first=column is self.columns[0])
                    yield cell
                elif cell:
                    yield _line(column, cell, is_first=column is self.columns[0])
        if caption:
            yield Text.from_markup(str(caption))


def _line(column: Column, cell: str, *, is_first: bool) -> Text:
    text = cell.replace("\n", " ")
    heading = f"{column.header}: " if column.header else ""
    return Text("" if is_first else "  ").append_text(Text.from_markup(f"{heading}{text}"))
