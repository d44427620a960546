"""Columns of a table of labels: which names the files, which the labels, splits and groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nas.data.sources.class_names import natural_key
from nas.data.sources.labelled_files import NOT_FOR_THIS_PROGRAM, ColumnNames
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
_SPLITS = ("split", "set", "subset", "partition")
_BOXES = ({"xmin", "ymin"}, {"x_min", "y_min"}, {"bbox"}, {"bbox_x", "bbox_y"})
_SEPARATORS = ("|", ";", ",", " ")
_MIN_FOUND = 0.5


@dataclass(frozen=True)
class LabelTable:
    """Cells of a table of labels, one entry a row; empty strings are missing.

    Attributes:
        splits: Empty without a column of splits.
        groups: Empty without a column of groups.
        readings: Sentences on how the table was read.
    """

    name: str
    files: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    readings: tuple[str, ...] = ()


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
    split = _named(table, given.split, _SPLITS)
    group = given.group if given.group in table.columns else None
    _refuse_boxes(table)
    others = [name for name in table.columns if name not in (image, split, group)]
    labels, readings = _labels(table, given, others)
    _refuse_other_tasks(table.name, labels)
    return LabelTable(
        table.name,
        tuple(table.column(image)),
        labels,
        tuple(table.column(split)) if split else (),
        tuple(table.column(group)) if group else (),
        (f"{table.name}: files from column {image!r}, labels from {readings}",),
    )


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
        f"{table.name}: no column names the files of its folder ({best!r} does in {shares[best]:.0%} of its rows); its "
        f"columns are {_quoted(table.columns)}: put the table beside the files, or set [data] image_column"
    )


def _labels(table: Table, given: ColumnNames, others: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Return the labels and a phrase for the columns that they are from."""
    if given.label is not None:
        return tuple(table.column(_required(table, given.label, "label_column"))), repr(given.label)
    named = [name for name in others if plain_name(name) in LABEL_NAMES]
    if len(named) > 1:
        raise DataError(
            f"{table.name}: columns {_quoted(named)} could be the labels; set [data] label_column to one of them"
        )
    if not named and len(others) > 1 and _are_flags(table, others):
        return _one_hot(table, others), f"the one-hot columns {_quoted(others)}"
    found = named or list(others)
    if len(found) != 1:
        raise DataError(f"{table.name}: no column of labels among {_quoted(table.columns)}; set [data] label_column")
    return tuple(table.column(found[0])), repr(found[0])


def _are_flags(table: Table, names: Sequence[str]) -> bool:
    return all(cell in ("0", "1", "0.0", "1.0") for name in names for cell in table.column(name))


def _one_hot(table: Table, names: Sequence[str]) -> tuple[str, ...]:
    rows = list(zip(*(table.column(name) for name in names), strict=True))
    chosen = [[name for name, cell in zip(names, row, strict=True) if cell.startswith("1")] for row in rows]
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


def _refuse_other_tasks(name: str, labels: Sequence[str]) -> None:
    """Refuse several labels in a cell, and measured values."""
    distinct = {label for label in labels if label}
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


def _named(table: Table, given: str | None, known: Sequence[str]) -> str | None:
    if given is not None:
        return _required(table, given, "split_column")
    return next((name for name in table.columns if plain_name(name) in known), None)


def _required(table: Table, name: str, key: str) -> str:
    if name not in table.columns:
        raise DataError(f"{table.name}: no column {name!r} ([data] {key}); its columns are {_quoted(table.columns)}")
    return name


def plain_name(name: str) -> str:
    """Return a column's name in lower case with underscores."""
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def _quoted(names: Sequence[str]) -> str:
    return shortened_list([repr(printable(name)) for name in names])
