"""Columns of a table of labels: which names the files, which the labels, splits and groups."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nas.data.sources.class_names import natural_key
from nas.data.sources.labelled_files import NOT_FOR_THIS_PROGRAM, ColumnNames, split_of_name
from nas.data.sources.table_file import Table
from nas.errors import DataError, shortened_list
from nas.results.printable_text import printable

_IMAGES = (
    "file", "filename", "file_name", "path", "filepath", "file_path", "image", "images", "image_path", "image_file",
    "image_filename", "image_name", "imagename", "img", "img_path", "img_name", "image_id", "id", "name", "photo",
)  # fmt: skip
LABEL_NAMES = (
    "label", "labels", "class", "classes", "class_name", "classname", "class_label", "category", "target", "y",
    "species", "diagnosis", "dx", "tag", "tags",
)  # fmt: skip
SPLIT_NAMES = ("split", "set", "subset", "partition")
_BOXES = ({"xmin", "ymin"}, {"x_min", "y_min"}, {"x1", "y1", "x2", "y2"}, {"bbox"}, {"bbox_x", "bbox_y"})
_SET, _UNSET = ("1", "1.0", "true"), ("0", "0.0", "false")
"""Cells of one-hot columns."""
_SEPARATORS = ("|", ";", ",", " ")
_MIN_FOUND = 0.5
_LONG_NAME = 60


@dataclass(frozen=True)
class LabelTable:
    """Cells of a table of labels, one entry a row; empty strings are missing.

    Attributes:
        splits: Empty without a column of splits.
        groups: Empty without a column of groups.
        readings: Sentences on how the table was read.
        faults: Reason why a row has no image, else empty, if the images were in the rows, and are named by their place;
            empty for a table whose cells name files.
    """

    name: str
    files: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    readings: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    def place(self, row: int) -> str:
        """Printable name of a row: its file, and its line in a table of files."""
        return printable(self.files[row] if self.faults else f"{self.files[row]} (row {row + 2} of {self.name})")


def read_columns(table: Table, given: ColumnNames, is_file: Callable[[str], bool]) -> LabelTable:
    """Find the columns of a table and take their cells.

    Args:
        is_file: True for a cell that names an image of the folder.

    Raises:
        DataError: The columns are not found, or the table is for another task.
    """
    if given.image is None and any(is_file(cell) for cell in table.columns):
        table = table.with_numbered_columns()
    image = _image_column(table, given, is_file)
    split = _split_column(table, given, image)
    group = _group_column(table, given.group)
    _refuse_boxes(table)
    others = [name for name in table.columns if name not in (image, split, group)]
    labels, from_columns = _labels(table, given, others)
    refuse_other_tasks(table.name, labels)
    if sum(map(is_file, labels)) > _MIN_FOUND * len(labels):
        raise DataError(
            f"{table.name}: the labels from {_quoted(from_columns)} are names of files; set [data] label_column to a "
            f"column of classes; segmentation is {NOT_FOR_THIS_PROGRAM}"
        )
    readings = [f"{table.name}: files from column {image!r}, labels from {_shown(from_columns)}"]
    readings += unused_columns(
        table.name, [name for name in others if name not in from_columns and any(table.column(name))]
    )
    return LabelTable(
        table.name,
        tuple(table.column(image)),
        labels,
        tuple(table.column(split)) if split else (),
        tuple(table.column(group)) if group else (),
        tuple(readings),
    )


def unused_columns(where: str, names: Sequence[str]) -> list[str]:
    """Return a sentence on the columns that are not used, and the keys that name others."""
    if not names:
        return []
    return [
        f"{where}: columns that are not used: {_quoted(names)} ([data] label_column, split_column and group_by name "
        "those of labels, splits and groups)"
    ]


def _image_column(table: Table, given: ColumnNames, is_file: Callable[[str], bool]) -> str:
    if given.image is not None:
        return _required(table, given.image, "image_column")
    shares = {}
    for name in table.columns:
        cells = table.column(name)
        shares[name] = sum(map(is_file, cells)) / max(1, len(cells))
    named = [name for name in table.columns if plain_name(name) in _IMAGES and shares[name] >= _MIN_FOUND]
    found = named or [name for name in table.columns if shares[name] >= _MIN_FOUND]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(
            f"{table.name}: columns {_quoted(found)} all name files; set [data] image_column to one of them"
        )
    best = max(shares, key=lambda name: shares[name])
    raise DataError(
        f"{table.name}: no column names the files of its folder ({_quote(best)} does in {shares[best]:.0%} of its "
        f"rows); its columns are {_quoted(table.columns)}: put the table beside the files, or set [data] image_column"
    )


def _labels(table: Table, given: ColumnNames, others: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the labels and the columns that they are from."""
    if given.label is not None:
        return tuple(table.column(_required(table, given.label, "label_column"))), [given.label]
    named = [name for name in others if plain_name(name) in LABEL_NAMES]
    if len(named) > 1:
        raise DataError(
            f"{table.name}: columns {_quoted(named)} could be the labels; set [data] label_column to one of them"
        )
    if not named and len(others) > 1 and _are_flags(table, others):
        return _one_hot(table, others), list(others)
    found = named or list(others)
    if len(found) != 1:
        raise DataError(f"{table.name}: no column of labels among {_quoted(table.columns)}; set [data] label_column")
    return tuple(table.column(found[0])), found


def _shown(columns: Sequence[str]) -> str:
    return repr(columns[0]) if len(columns) == 1 else f"the one-hot columns {_quoted(columns)}"


def _are_flags(table: Table, names: Sequence[str]) -> bool:
    return all(cell.lower() in (*_SET, *_UNSET) for name in names for cell in table.column(name))


def _one_hot(table: Table, names: Sequence[str]) -> tuple[str, ...]:
    rows = list(zip(*(table.column(name) for name in names), strict=True))
    chosen = [[name for name, cell in zip(names, row, strict=True) if cell.lower() in _SET] for row in rows]
    several = [number for number, one in enumerate(chosen, 1) if len(one) > 1]
    if several:
        raise DataError(
            f"{table.name}: {len(several):,} rows with several labels, the first row {several[0]:,} of the data; "
            f"multi-label data is {NOT_FOR_THIS_PROGRAM}"
        )
    return tuple(one[0] if one else "" for one in chosen)


def _refuse_boxes(table: Table) -> None:
    columns = {plain_name(name) for name in table.columns}
    if any(boxes <= columns for boxes in _BOXES):
        raise DataError(f"{table.name}: columns of boxes; object detection is {NOT_FOR_THIS_PROGRAM}")


def refuse_other_tasks(name: str, labels: Sequence[str]) -> None:
    """Refuse several labels in a cell, and measured values.

    Raises:
        DataError: The labels are such.
    """
    distinct = {label for label in labels if label}
    lists = [label for label in labels if re.fullmatch(r"[\[({].*,.*[\])}]", label)]
    if lists:
        raise DataError(
            f"{name}: {len(lists):,} cells with several labels, as {printable(min(lists))!r}; multi-label data is "
            f"{NOT_FOR_THIS_PROGRAM}"
        )
    for separator in _SEPARATORS:
        several = {label for label in distinct if separator in label}
        if several and all(piece.strip() in distinct for label in several for piece in label.split(separator)):
            number = sum(label in several for label in labels)
            raise DataError(
                f"{name}: {number:,} cells with several labels, as {printable(min(several))!r}; multi-label data is "
                f"{NOT_FOR_THIS_PROGRAM}"
            )
    fractions = [label for label in distinct if _is_fraction(label)]
    if len(fractions) > 0.2 * len(distinct) and len(distinct) > 0.2 * len(labels):
        shown = shortened_list(sorted(map(printable, fractions), key=natural_key))
        raise DataError(f"{name}: labels are measured values ({shown}); regression is {NOT_FOR_THIS_PROGRAM}")


def _is_fraction(label: str) -> bool:
    try:
        return not float(label.replace(",", ".")).is_integer()
    except (ValueError, OverflowError):
        return False


def _split_column(table: Table, given: ColumnNames, image: str) -> str | None:
    """Return the column of splits: the given one, else one with such a name, else one with nothing but such cells."""
    if given.split is not None:
        return _required(table, given.split, "split_column")
    others = [name for name in table.columns if name not in (image, given.label)]
    named = [name for name in others if plain_name(name) in SPLIT_NAMES]
    filled = [name for name in others if any(table.column(name)) and len(set(table.column(name))) > 1]
    return next(iter(named or (name for name in filled if all(map(split_of_name, table.column(name))))), None)


def _group_column(table: Table, given: str | None) -> str | None:
    """Return the column of groups, whose name may differ in case and spaces."""
    if given is None or given in table.columns:
        return given
    return next((name for name in table.columns if plain_name(name) == plain_name(given)), None)


def _required(table: Table, name: str, key: str) -> str:
    if name not in table.columns:
        raise DataError(f"{table.name}: no column {name!r} ([data] {key}); its columns are {_quoted(table.columns)}")
    return name


def plain_name(name: str) -> str:
    """Return a column's name in lower case with underscores."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _quoted(names: Sequence[str]) -> str:
    return shortened_list([_quote(name) for name in names])


def _quote(name: str) -> str:
    """Return a column's name in quotes; the start of a very long one, as in a file that is no table."""
    return repr(printable(name if len(name) <= _LONG_NAME else name[:_LONG_NAME] + "…"))
