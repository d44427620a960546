"""Columns of Parquet and Arrow files with images: which holds the images, which the labels, splits and groups."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas.data.sources.labelled_files import NOT_FOR_THIS_PROGRAM, ColumnNames
from nas.data.sources.table_columns import LABEL_NAMES, SPLIT_NAMES, plain_name, unused_columns
from nas.errors import DataError, shortened_list
from nas.results.printable_text import printable


@dataclass(frozen=True)
class ImageColumns:
    """Names of the columns of a file with images.

    Attributes:
        classes: Names of the classes, indexed by the labels; None for labels that are names themselves.
        readings: Sentences on how the columns were read.
    """

    image: str
    label: str
    split: str | None
    group: str | None
    classes: Sequence[str] | None
    readings: tuple[str, ...]


def find_columns(where: str, schema: Any, given: ColumnNames, *, has_named_splits: bool) -> ImageColumns:
    """Find the columns of a file.

    Args:
        where: Name of the data set for sentences and error messages.
        schema: Schema of pyarrow.
        has_named_splits: True if files or folders are named after splits; a column of splits is then not sought.

    Raises:
        DataError: The columns are not found, or the data are for another task.
    """
    names = [str(name) for name in schema.names]
    keys = {"image_column": given.image, "label_column": given.label, "split_column": given.split,
            "group_by": given.group}  # fmt: skip
    for key, name in keys.items():
        if name is not None and name not in names:
            raise DataError(f"{where}: no column {name!r} ([data] {key}); its columns are {shortened_list(names)}")
    images = [given.image] if given.image else image_columns(schema)
    if len(images) != 1:
        raise DataError(
            f"{where}: {len(images) or 'no'} columns of images among {shortened_list(names)}; set [data] "
            f"image_column; several images a row, as in segmentation, are {NOT_FOR_THIS_PROGRAM}"
        )
    classes = _class_names(schema)
    named = [name for name in names if plain_name(name) in LABEL_NAMES and name != images[0]]
    labels = [given.label] if given.label else list(classes) or named
    if len(labels) != 1:
        raise DataError(
            f"{where}: {'columns ' + shortened_list(labels) if labels else 'no column'} could be the labels, of "
            f"{shortened_list(names)}; set [data] label_column"
        )
    kind = str(schema.field(labels[0]).type)
    if kind.startswith(("list", "large_list", "fixed_size_list", "struct")):
        raise DataError(
            f"{where}: column {labels[0]!r} has several labels a row; multi-label data is {NOT_FOR_THIS_PROGRAM}"
        )
    found = [name for name in names if plain_name(name) in SPLIT_NAMES and not has_named_splits]
    split = given.split or next(iter(found), None)
    readings = [f"{where}: images from column {printable(images[0])!r}, labels from {printable(labels[0])!r}"]
    readings += [f"{where}: splits from column {printable(split)!r}"] if split else []
    used = (images[0], labels[0], split, given.group)
    readings += unused_columns(where, [name for name in names if name not in used])
    return ImageColumns(images[0], labels[0], split, given.group, classes.get(labels[0]), tuple(readings))


def image_columns(schema: Any) -> list[str]:
    """Return the columns of encoded images: bytes, or bytes with a path."""
    return [
        field.name
        for field in schema
        if str(field.type) in ("binary", "large_binary") or str(field.type).startswith("struct<bytes: binary")
    ]


def _class_names(schema: Any) -> Mapping[str, Sequence[str]]:
    """Return the names of the classes of each column for which Hugging Face's metadata has them."""
    metadata = (schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return {}
    features = json.loads(metadata).get("info", {}).get("features", {})
    return {
        name: one["names"]
        for name, one in features.items()
        if isinstance(one, dict) and one.get("_type") == "ClassLabel" and name in schema.names
    }
