"""Reading of tables as users have them: CSV and TSV of any delimiter and encoding, and Parquet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.data.decoding.file_kinds import HEAD_BYTES, content_kind
from nas.errors import DataError
from nas.results.printable_text import printable

_DELIMITERS = ",;\t|"
_NAMED_DELIMITER = re.compile(r"sep=([,;|\t])\r?\n", re.IGNORECASE)
"""First line by which spreadsheets name the delimiter."""
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
PYARROW_MISSING = "needs pyarrow: pip install 'nas[tables]'"


@dataclass(frozen=True)
class Table:
    """Columns and rows of text; an empty cell is an empty string."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def column(self, name: str) -> list[str]:
        """Cells of a column."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]

    def with_numbered_columns(self) -> Table:
        """Return the table of a file without a line of names: its first line is a row."""
        columns = tuple(f"column {place}" for place in range(1, len(self.columns) + 1))
        return Table(self.name, columns, (self.columns, *self.rows))


def read_table(path: Path) -> Table:
    """Read a table.

    Raises:
        DataError: The file cannot be read, is empty, or has rows of different lengths.
    """
    name = printable(path.name)
    if path.suffix.lower() == ".parquet":
        return _read_parquet(path, name)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{printable(str(path))}: cannot be read ({error.strerror})") from error
    text = _decode(content)
    if "\0" in text:
        kind = content_kind(content[:HEAD_BYTES])
        raise DataError(f"{printable(str(path))}: no table of text ({kind}); save it as CSV")
    named = _NAMED_DELIMITER.match(text)
    text = text[named.end() :] if named else text
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{printable(str(path))}: an empty table; give a line of names, and a row for each image")
    delimiter = "\t" if path.suffix.lower() == ".tsv" else max(_DELIMITERS, key=lines[0].count)
    delimiter = named[1] if named else delimiter
    try:
        rows = [
            tuple(cell.strip() for cell in row)
            for row in csv.reader(
                io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
            )
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise DataError(f"{printable(str(path))}: not a table ({error})") from error
    uneven = [number for number, row in enumerate(rows, 1) if len(row) != len(rows[0])]
    if uneven:
        raise DataError(
            f"{printable(str(path))}: {len(rows[0])} columns in the first line, but {len(rows[uneven[0] - 1])} in row "
            f"{uneven[0]} ({len(uneven)} such rows); put cells with {delimiter!r} in quotes"
        )
    return Table(name, rows[0], tuple(rows[1:]))


def _decode(content: bytes) -> str:
    """Decode by the byte-order mark, else as UTF-8, else as Windows' western encoding."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _read_parquet(path: Path, name: str) -> Table:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise DataError(f"{printable(str(path))}: {PYARROW_MISSING}") from error
    try:
        table = parquet.read_table(path)
    except (OSError, ArrowException) as error:
        raise DataError(f"{printable(str(path))}: cannot be read ({str(error).splitlines()[0]})") from error
    columns: Mapping[str, Sequence[Any]] = table.to_pydict()
    texts = [["" if cell is None else str(cell).strip() for cell in cells] for cells in columns.values()]
    return Table(name, tuple(columns), tuple(zip(*texts, strict=True)))
