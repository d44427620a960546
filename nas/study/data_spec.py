"""Specification of the data set and its splits: the `[data]` table of a study file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from nas.space.immutable_model import FrozenModel, PositiveInt
from nas.study.pairs_spec import PairsSpec

Source = Literal["digits", "emnist", "mnist", "fashion_mnist", "cifar10", "cifar100", "eurosat", "npz", "folder"]
EmnistSplit = Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"]
Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]

CHARACTER_SOURCES = ("digits", "mnist", "emnist")
"""Sources of characters, which must not be mirrored."""


class DataSpec(FrozenModel):
    """Data set and its splits.

    The validation part is split from the source's training images first. `images_per_class`, `long_tail` and
    `max_train_images` then subsample the training part only, so validation keeps the source's class frequencies.

    Attributes:
        path: File for source `npz`, directory for source `folder`.
        emnist_split: One of the six splits of EMNIST.
        validation_fraction: Share of the training images held out for validation, stratified.
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
    shrink: Annotated[int, Field(ge=2, le=64)] | None = None
    pairs: PairsSpec | None = None

    @model_validator(mode="after")
    def _check_source_keys(self) -> DataSpec:
        faults = source_faults(self.model_dump(exclude_none=True))
        if faults:
            raise ValueError("; ".join(faults))
        return self


_SOURCES_WITH = {
    "path": ("npz", "folder"),
    "emnist_split": ("emnist",),
    "image_size": ("folder", "eurosat"),
    "channels": ("folder",),
}


def source_faults(table: Mapping[str, Any]) -> list[str]:
    """List missing and inapplicable keys of a `[data]` table for its source, one line each."""
    source = table.get("source")
    faults = []
    for key, sources in _SOURCES_WITH.items():
        if key in table and source not in sources:
            faults.append(f"{key}: only for source {' or '.join(sources)}, not {source!r}; remove it")
    if source in _SOURCES_WITH["path"] and not table.get("path"):
        faults.append(f"path: missing; say which {source} in the file or with --data PATH")
    if source == "emnist" and "emnist_split" not in table:
        faults.append(f"emnist_split: missing; one of {', '.join(get_args(EmnistSplit))}")
    return faults
