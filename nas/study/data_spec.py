"""The `[data]` table of a study file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from nas.space.frozen_model import FrozenModel, PositiveInt
from nas.study.pairs_spec import PairsSpec

Source = Literal["digits", "emnist", "mnist", "fashion_mnist", "cifar10", "cifar100", "eurosat", "npz", "folder"]
EmnistSplit = Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"]
Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]

CHARACTER_SOURCES = ("digits", "mnist", "emnist")
"""Of images that must not be mirrored."""


class DataSpec(FrozenModel):
    """Which images, and how they are split.

    The validation part is taken from the source's training images first; `images_per_class`, `long_tail` and
    `max_train_images` then thin the training part alone, so that validation keeps the source's class frequencies.

    Attributes:
        path: The file of `npz`, the directory of `folder`.
        emnist_split: Which of EMNIST's six splits.
        validation_fraction: Share of the training images held out for validation, stratified.
        test_fraction: Share held out for testing where the source has no test images of its own, stratified.
        seed: Of every random choice that makes the splits.
        images_per_class: At most so many training images of each class (Tiny-CIFAR: 500).
        long_tail: Factor between the largest and the smallest class of the training part; counts fall
            exponentially over the classes' order (Cui et al., 2019).
        max_train_images: At most so many training images, class frequencies kept.
        max_validation_images: Likewise for validation.
        image_size: Side in pixels to which a folder's images, or EuroSAT's, are brought; default: their own, which
            must agree.
        channels: 1 (grey) or 3 (colour) for a folder; default: 3, or 1 where every image is grey.
        shrink: Each image is made smaller, to the mean of so many by so many pixels, rounded.
        pairs: Each part's images are paired after all of this, and what is learned is a relation of the two.
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
    def _keys_fit_the_source(self) -> DataSpec:
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
    """Keys of a `[data]` table that its source needs and lacks, or has no use for; one line each."""
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
