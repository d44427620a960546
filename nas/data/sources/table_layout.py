"""Splits and classes of images from tables of labels."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from nas.data.sources.class_names import name_readings, natural_key
from nas.data.sources.folder_listing import FolderListing, ListedImage
from nas.data.sources.labelled_files import (
    NOT_FOR_THIS_PROGRAM,
    SPLITS,
    ColumnNames,
    FolderLayout,
    LabelledFile,
    SplitName,
    split_of_name,
)
from nas.data.sources.table_columns import LabelTable, read_columns
from nas.data.sources.table_file import read_table
from nas.errors import DataError
from nas.results.dataset_inventory import entries_of
from nas.results.printable_text import class_name, printable

NO_FILE = "rows whose file is missing"
NO_LABEL = "rows without a label"
REPEATED = "rows repeating another row"
CONTRADICTORY = "rows with another label for the same file"
SEVERAL_FILES = "rows that several files match (write their folders into the table)"
UNKNOWN_SPLIT = "rows of an unknown split"
NO_ROW = "images in no row of a table"
_MISSING = frozenset({"", "nan", "null", "<na>", "n/a", "#n/a"})
"""Cells, in lower case, by which programs write a missing value; "None" and "NA" may be classes."""
_MAX_CONTRADICTORY = 0.1
_Key = Callable[[str], str]


class FileIndex:
    """Images of a folder, found by path, by path without suffix, by name, or by name without suffix, in any case."""

    def __init__(self, images: Sequence[ListedImage]) -> None:
        self._images = images
        self._levels: dict[int, dict[str, list[int]]] = {}
        self._paths: dict[str, int] = {}

    def find(self, cell: str) -> list[int]:
        """Return the places of the images that a cell of a table may mean; the closest match alone."""
        text = unicodedata.normalize("NFC", cell.replace("\\", "/"))
        text = text.removeprefix("./").removeprefix("/")
        for level, (of_image, of_cell) in enumerate(_KEYS):
            if level not in self._levels:
                self._levels[level] = self._index(of_image)
            found = self._levels[level].get(of_cell(text))
            if found:
                return found
        return []

    def at_path(self, path: str) -> list[int]:
        """Return the place of the image with a path."""
        if not self._paths:
            self._paths = {image.file.name: place for place, image in enumerate(self._images)}
        return [self._paths[path]] if path in self._paths else []

    def _index(self, key: _Key) -> dict[str, list[int]]:
        index: dict[str, list[int]] = defaultdict(list)
        for place, image in enumerate(self._images):
            index[key(unicodedata.normalize("NFC", image.file.name))].append(place)
        return dict(index)


def _name(path: str) -> str:
    return PurePosixPath(path).name


def _stem(path: str) -> str:
    return PurePosixPath(path).stem


# A cell without suffix may have a dot in its name, so its stem is the last of its readings.
_KEYS: tuple[tuple[_Key, _Key], ...] = (
    (lambda path: path, lambda path: path),
    (str.casefold, str.casefold),
    (_name, _name),
    (lambda path: _name(path).casefold(), lambda path: _name(path).casefold()),
    (_stem, _name),
    (lambda path: _stem(path).casefold(), lambda path: _name(path).casefold()),
    (_stem, _stem),
    (lambda path: _stem(path).casefold(), lambda path: _stem(path).casefold()),
)


def read_label_tables(
    paths: Sequence[Path], listing: FolderListing, columns: ColumnNames
) -> list[tuple[LabelTable, SplitName | None]]:
    """Read tables of labels, each with the split that its file is named after, if any.

    Raises:
        DataError: A table cannot be read, or has no such columns.
    """
    index = FileIndex(listing.images)
    return [
        (
            read_columns(read_table(path), columns, lambda cell: bool(cell and index.find(cell))),
            split_of_name(path.stem),
        )
        for path in paths
    ]


def table_layout(tables: Sequence[tuple[LabelTable, SplitName | None]], listing: FolderListing) -> FolderLayout:
    """Assign the images of a folder to the splits and classes that tables give.

    Raises:
        DataError: Many files have several labels.
    """
    layout = FolderLayout(unit="rows and files")
    index = FileIndex(listing.images)
    left_out: dict[str, list[str]] = defaultdict(list)
    seen: dict[int, tuple[SplitName, str, str | None]] = {}
    contradictory: set[int] = set()
    spellings: dict[str, set[str]] = defaultdict(set)
    rows_of: dict[int, list[str]] = defaultdict(list)
    for table, split_of_table in tables:
        layout.readings += table.readings
        for row in range(len(table.files)):
            where = table.place(row)
            found = _places(index, table, row)
            label = "" if table.labels[row].lower() in _MISSING else class_name(table.labels[row])
            spellings[label].add(table.labels[row])
            split = _split_of_row(table, row, split_of_table)
            reason = _row_fault(table, row, found, label, split)
            if reason is not None:
                left_out[reason].append(where + _both(listing, found))
                for place in found[:1] if len(found) == 1 else []:
                    rows_of[place]  # The file is accounted for by its row.
                continue
            assert split is not None
            assigned = (split, label, table.groups[row] or None if table.groups else None)
            if found[0] in seen:
                if seen[found[0]][:2] != assigned[:2]:
                    contradictory.add(found[0])
                else:
                    left_out[REPEATED].append(where)
                    continue
            seen.setdefault(found[0], assigned)
            rows_of[found[0]].append(where)
    _remove_contradictory(tables, seen, contradictory, rows_of, left_out)
    layout.files = [LabelledFile(split, label, listing.images[place].file, group)
                    for place, (split, label, group) in seen.items()]  # fmt: skip
    left_out[NO_ROW] += [
        printable(image.file.name) for place, image in enumerate(listing.images) if place not in rows_of
    ]
    layout.left_out += [entry for entry in entries_of(left_out) if entry.count]
    layout.has_groups = any(table.groups for table, _ in tables)
    num_rows = sum(len(table.files) for table, _ in tables)
    layout.given = num_rows + len(left_out[NO_ROW])
    # Rows with images of their own have an order, which that of their names would change: "row 10" before "row 2".
    has_order = any(table.faults for table, _ in tables)
    _order(layout, {} if has_order else {image.file.name: place for place, image in enumerate(listing.images)})
    layout.readings += name_readings({label: spellings[label] for label in layout.classes}, layout.classes)
    return layout


def _both(listing: FolderListing, found: Sequence[int]) -> str:
    """Return the first two of several files that a row may mean."""
    if len(found) < 2:
        return ""
    first, second = (printable(listing.images[place].file.name) for place in found[:2])
    return f": {first} or {second}"


def _places(index: FileIndex, table: LabelTable, row: int) -> list[int]:
    """Return the places of the images that a row may mean."""
    cell = table.files[row]
    if table.faults:
        return index.at_path(cell)
    return index.find(cell) if cell else []


def _row_fault(table: LabelTable, row: int, found: Sequence[int], label: str, split: SplitName | None) -> str | None:
    """Return the reason for leaving out a row; None if it can be used."""
    if table.faults and table.faults[row]:
        return table.faults[row]
    if not found:
        return NO_FILE
    if len(found) > 1:
        return SEVERAL_FILES
    if not label:
        return NO_LABEL
    return UNKNOWN_SPLIT if split is None else None


def _split_of_row(table: LabelTable, row: int, split_of_table: SplitName | None) -> SplitName | None:
    if not table.splits:
        return split_of_table or "train"
    return split_of_name(table.splits[row])


def _remove_contradictory(
    tables: Iterable[tuple[LabelTable, SplitName | None]], seen: dict[int, tuple[SplitName, str, str | None]],
    contradictory: set[int], rows_of: dict[int, list[str]], left_out: dict[str, list[str]],
) -> None:  # fmt: skip
    """Leave out the files with several labels; where they are many, the table is of several labels for each image."""
    if len(contradictory) > _MAX_CONTRADICTORY * max(1, len(seen)):
        name = next(table.name for table, _ in tables)
        raise DataError(
            f"{name}: {len(contradictory):,} of {len(seen):,} files have several labels or splits; multi-label data is "
            f"{NOT_FOR_THIS_PROGRAM}"
        )
    for place in sorted(contradictory):
        del seen[place]
        left_out[CONTRADICTORY] += rows_of[place]


def _order(layout: FolderLayout, places: Mapping[str, int]) -> None:
    """Sort the classes, and the files by split, class and place; files without a place stay in their order."""
    splits = {file.split for file in layout.files}
    layout.splits = tuple(split for split in SPLITS if split in splits or split == "train")
    layout.classes = tuple(sorted({file.label for file in layout.files if file.split == "train"}, key=natural_key))
    of_class = {label: place for place, label in enumerate(layout.classes)}
    layout.files.sort(
        key=lambda file: (
            SPLITS.index(file.split), of_class.get(file.label, len(of_class)), places.get(file.file.name, 0)
        )
    )  # fmt: skip
