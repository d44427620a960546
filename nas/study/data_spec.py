"""Specification of the data set and its splits: the `[data]` table of a study file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from nas.space.immutable_model import FrozenModel, PositiveInt
from nas.study.pairs_spec import PairsSpec

# fmt: off
Source = Literal[
    "digits", "emnist", "mnist", "fashion_mnist", "cifar10", "cifar100", "eurosat", "npz", "folder", "table",
    "huggingface",
]
# fmt: on
EmnistSplit = Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"]
Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]

OWN_SOURCES = ("npz", "folder", "table", "huggingface")
"""Sources with images of the user, which are checked for equal images."""
FILE_SOURCES = ("folder", "table", "huggingface")
"""Sources whose images are decoded from files."""
CHARACTER_SOURCES = ("digits", "mnist", "emnist")
"""Sources of characters, which must not be mirrored."""


class DataSpec(FrozenModel):
    """Data set and its splits.

    The validation part is split from the source's training images first. `images_per_class`, `long_tail` and
    `max_train_images` then subsample the training part only, so validation keeps the source's class frequencies.

    Attributes:
        path: File for source `npz` or `table`, directory for source `folder` (or an archive of one) or `huggingface`.
        emnist_split: One of the six splits of EMNIST.
        validation_fraction: Share of the training images held out for validation, stratified; unused if the source has
            validation images.
        test_fraction: Share held out for testing if the source has no test images, stratified.
        seed: Seed of all random choices of the splits.
        images_per_class: Maximum number of training images per class (Tiny-CIFAR: 500).
        long_tail: Ratio of the largest to the smallest class of the training part; counts fall exponentially in
            the order of the classes (Cui et al., 2019).
        max_train_images: Maximum number of training images; class frequencies are kept.
        max_validation_images: Maximum number of validation images; class frequencies are kept.
        image_size: Side in pixels to which images of a folder or of EuroSAT are resized; default: their own size,
            which must be the same for all.
        channels: 1 (grey) or 3 (colour) for a folder; default: 3, or 1 if every image is grey.
        bits: Significant bits of images with 16 bits a channel; default: those that the largest value needs.
        layout: Reading of a folder whose sub-folders may be splits or classes; default: whichever is certain.
        depth: Levels of folders that make up a class's name; default 1.
        labels: Table of labels inside a folder, or "folders" to take the labels from the folders' names.
        image_column: Column of a table with the images' paths; default: found by its name.
        label_column: Column of a table with the labels; default: found by its name.
        split_column: Column of a table with the splits; default: found by its name.
        group_by: Column of a table, array of an npz file, or regular expression on the path of an image (its first
            group, or all of it), by which images are grouped; a group is in one split only.
        leaks: `exclude` keeps images out of training that equal a test or validation image, `keep` does not; default:
            `exclude` for the user's own images.
        shrink: Downscaling factor k: each k×k block of pixels becomes its mean, rounded.
        pairs: Pairing of each part's images after the steps above; the classes are then relations of two images.
    """

    source: Source
    path: str | None = None
    emnist_split: EmnistSplit | None = None
    validation_fraction: Fraction = 0.15
    test_fraction: Fraction = 0.15
    seed: int = 0
    images_per_class: PositiveInt | None = None
    long_tail: Annotated[float, Field(gt=1.0)] | None = None
    max_train_images: PositiveInt | None = None
    max_validation_images: PositiveInt | None = None
    image_size: Annotated[int, Field(ge=8, le=512)] | None = None
    channels: Literal[1, 3] | None = None
    bits: Annotated[int, Field(ge=8, le=16)] | None = None
    layout: Literal["splits", "classes"] | None = None
    depth: Annotated[int, Field(ge=1, le=8)] | None = None
    labels: str | None = None
    image_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    group_by: str | None = None
    leaks: Literal["exclude", "keep"] | None = None
    shrink: Annotated[int, Field(ge=2, le=64)] | None = None
    pairs: PairsSpec | None = None

    @property
    def excludes_leaks(self) -> bool:
        """True if images that equal a test or validation image are kept out of training."""
        return self.source in OWN_SOURCES and self.leaks != "keep"

    @model_validator(mode="after")
    def _check_source_keys(self) -> DataSpec:
        faults = source_faults(self.model_dump(exclude_none=True))
        if faults:
            raise ValueError("; ".join(faults))
        return self


_SOURCES_WITH = {
    "path": OWN_SOURCES,
    "emnist_split": ("emnist",),
    "image_size": (*FILE_SOURCES, "eurosat"),
    "channels": FILE_SOURCES,
    "bits": FILE_SOURCES,
    "layout": ("folder",),
    "depth": ("folder",),
    "labels": ("folder",),
    "image_column": FILE_SOURCES,
    "label_column": FILE_SOURCES,
    "split_column": FILE_SOURCES,
    "group_by": OWN_SOURCES,
    "leaks": OWN_SOURCES,
}


def applicable_keys(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a `[data]` table that its source has."""
    source = table.get("source")
    return {key: value for key, value in table.items() if source in _SOURCES_WITH.get(key, (source,))}


def _alternatives(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]


def source_faults(table: Mapping[str, Any]) -> list[str]:
    """List missing and inapplicable keys of a `[data]` table for its source, one line each."""
    source = table.get("source")
    faults = []
    for key, sources in _SOURCES_WITH.items():
        if key in table and source not in sources:
            faults.append(f"{key}: only for source {_alternatives(sources)}, not {source!r}; remove it")
    if source in _SOURCES_WITH["path"] and not table.get("path"):
        faults.append(f"path: missing; say which {source} in the file or with --data PATH")
    if source == "emnist" and "emnist_split" not in table:
        faults.append(f"emnist_split: missing; one of {', '.join(get_args(EmnistSplit))}")
    group_by = table.get("group_by")
    if isinstance(group_by, str):
        try:
            re.compile(group_by)
        except re.error as error:
            faults.append(f"group_by: {group_by!r} is no column's name and no regular expression ({error})")
    return faults
