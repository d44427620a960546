"""Origin of the labels of a folder: the names of its folders, or a table in it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from nas.data.sources.folder_layout import read_layout
from nas.data.sources.folder_listing import FolderListing
from nas.data.sources.labelled_files import FolderLayout, LayoutSettings
from nas.data.sources.table_columns import LabelTable
from nas.data.sources.table_layout import SEVERAL_FILES, read_label_tables, table_layout
from nas.errors import DataError, shortened_list
from nas.results.printable_text import printable

_FOLDERS = "folders"
_NO_CLASS = re.compile(r"(?i)(image|img|photo|picture|pics|data|files|part|batch|chunk|folder)")
"""Names of folders that hold images of any class, beside a table."""


def find_labels(
    root: Path, listing: FolderListing, settings: LayoutSettings, tables: Sequence[Path] = (),
    rows: LabelTable | None = None,
) -> FolderLayout:  # fmt: skip
    """Return the splits and classes of a folder.

    Args:
        tables: Tables of labels, whose cells name files of the folder; empty to find them.
        rows: Table that was read with the images, in place of all others.

    Raises:
        DataError: A table cannot be used.
    """
    if rows is not None:
        return table_layout([(rows, None)], listing)
    if settings.labels not in (None, _FOLDERS):
        tables = [root / str(settings.labels)]
    if tables:
        for table in tables:
            listing.take_table(Path(os.path.relpath(table, root)).as_posix())
        return table_layout(read_label_tables(tables, listing, settings.columns), listing)
    folders = read_layout(listing, settings)
    if settings.labels == _FOLDERS or not listing.tables:
        return _of_certain_depth(folders)
    found, used, faults = [], [], []
    for name in sorted(listing.tables):
        try:
            found += read_label_tables([root / name], listing, settings.columns)
            used.append(name)
        except DataError as error:
            faults.append(str(error))
    has_folders = not folders.faults and len(folders.classes) > 1
    if not found:
        if not has_folders:
            folders.faults += faults
        return _of_certain_depth(folders)
    if len(found) > 1 and not all(split for _, split in found):
        names = shortened_list([repr(table.name) for table, _ in found])
        return FolderLayout(faults=[f"several tables of labels: {names}; set [data] labels to one of them"])
    layout = table_layout(found, listing)
    in_doubt = [entry.text for entry in layout.left_out if entry.reason == SEVERAL_FILES]
    has_classes = len({label for table, _ in found for label in table.labels if label}) > 1
    if has_folders and not layout.files and not (in_doubt and has_classes):
        return _of_certain_depth(folders)
    by_table = {file.file.name: (file.split, file.label) for file in layout.files}
    by_folder = {file.file.name: (file.split, file.label) for file in folders.files}
    if has_folders and by_table == by_folder and not layout.has_groups:
        return folders
    if not has_folders or by_table == by_folder or all(_NO_CLASS.search(name) for name in folders.classes):
        for name in used:
            listing.take_table(name)
        return layout
    return FolderLayout(faults=[_two_readings(folders, layout, found[0][0].name, in_doubt)])


def _two_readings(folders: FolderLayout, by_table: FolderLayout, table: str, in_doubt: Sequence[str]) -> str:
    """Return the fault of a folder whose labels are its folders' names or a table's.

    Args:
        in_doubt: Sentences on rows that several files match.
    """
    name = printable(table)
    shown = "; ".join([shortened_list(by_table.classes) if by_table.classes else "no row can be used", *in_doubt])
    return (
        f'two readings: classes from folders ({shortened_list(folders.classes)}; [data] labels = "folders"), or '
        f"from {name} ({shown}; [data] labels = {name!r}); set the key"
    )


def _of_certain_depth(folders: FolderLayout) -> FolderLayout:
    """Return the layout of folders, with a fault if two levels may be the classes."""
    if folders.depth_fault is not None and not folders.faults:
        return FolderLayout(faults=[folders.depth_fault])
    return folders
