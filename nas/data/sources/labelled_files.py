"""Labelled image files of a folder: splits, classes, and the settings that decide between readings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from nas.data.decoding.decoded_image_cache import ImageFile
from nas.results.dataset_inventory import InventoryEntry

SplitName = Literal["train", "validation", "test"]
NOT_FOR_THIS_PROGRAM = "not for this program, which gives each image one of several classes"
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
_SPLIT_PATTERNS: dict[SplitName, str] = {
    "train": r"train|training|trn", "validation": r"val|valid|validation|validate|dev", "test": r"test|testing|tst",
}  # fmt: skip
_SPLIT_SUFFIX = r"[ _-]?(set|data|images|imgs|split|\d{1,4})?"


@dataclass(frozen=True)
class ColumnNames:
    """Columns that a study file names; None to find them."""

    image: str | None = None
    label: str | None = None
    split: str | None = None
    group: str | None = None


_FOUND_COLUMNS = ColumnNames()


@dataclass(frozen=True)
class LayoutSettings:
    """Keys of a study file that decide between readings.

    Attributes:
        layout: Folders in the root are splits, or classes; None finds out.
        depth: Levels of folders that make up a class's name; None for one, if no other is as likely.
        labels: Name of a table of labels in the folder, or "folders" for the folders' names; None finds out.
        columns: Columns of the table.
    """

    layout: Literal["splits", "classes"] | None = None
    depth: int | None = None
    labels: str | None = None
    columns: ColumnNames = _FOUND_COLUMNS


DEFAULT_LAYOUT = LayoutSettings()


@dataclass(frozen=True)
class LabelledFile:
    """An image file with its split, the name of its class, and its group if a table names one."""

    split: SplitName
    label: str
    file: ImageFile
    group: str | None = None


@dataclass
class FolderLayout:
    """Splits and classes of a folder, or the faults that leave them open.

    Attributes:
        files: Labelled images, in the order of splits, then classes, then paths.
        classes: Names of the classes with training images, in natural order.
        splits: Splits that the folder has.
        left_out: Images in no split.
        notes: Images read in a way worth knowing.
        readings: Sentences on readings, with the key that gives the other.
        empty: Folders without an image in the place of a class.
        has_groups: True if the groups of the files are known.
        given: Number of rows, and of images in no row, if labels are from tables; None for labels of folders.
        unit: Plural noun for what was given.
        faults: One line each.
        depth_fault: Fault of two likely levels of classes, if the classes are from folders.
    """

    files: list[LabelledFile] = field(default_factory=list)
    classes: tuple[str, ...] = ()
    splits: tuple[SplitName, ...] = ()
    left_out: list[InventoryEntry] = field(default_factory=list)
    notes: list[InventoryEntry] = field(default_factory=list)
    readings: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    has_groups: bool = False
    given: int | None = None
    unit: str = "files"
    faults: list[str] = field(default_factory=list)
    depth_fault: str | None = None


def split_of_name(name: str) -> SplitName | None:
    """Return the split that a folder or a table's cell is named after, such as `val` or `Testing`; else None."""
    for split, pattern in _SPLIT_PATTERNS.items():
        if re.fullmatch(f"({pattern}){_SPLIT_SUFFIX}", name.strip().lower()):
            return split
    return None
