"""Data types for labelled images: splits, loaded sources and data sets of a search.

Tensor dimensions: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nas.data.mapped_images import join_images
from nas.results.dataset_content import DatasetContent
from nas.results.dataset_inventory import DatasetInventory

Progress = Callable[[str, int, int], None]
"""Progress callback: description of the step, number of images done, total number of images."""


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled images.

    Attributes:
        images: uint8 [N, C, H, W], pixels 0–255.
        labels: int64 [N], class indices.
        parts: Class indices of the two images of each pair, int64 [N, 2]; None for single images. A pair is stored
            as one image: the second half of the channels is the second image.

    Raises:
        ValueError: A tensor has another type or shape.
    """

    images: Tensor
    labels: Tensor
    parts: Tensor | None = None

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise ValueError(f"images: uint8 [N, C, H, W], not {self.images.dtype} {list(self.images.shape)}")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(f"labels: int64 [{len(self.images)}], not {self.labels.dtype} {list(self.labels.shape)}")
        if self.parts is not None and (
            self.parts.dtype != torch.int64 or self.parts.shape != (len(self.images), 2) or self.images.shape[1] % 2
        ):
            raise ValueError(
                f"parts: int64 [{len(self.images)}, 2] of an even number of channels, "
                f"not {self.parts.dtype} {list(self.parts.shape)} of {self.images.shape[1]}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def class_counts(self, num_classes: int) -> tuple[int, ...]:
        """Number of images of each class, in the order of classes."""
        return tuple(torch.bincount(self.labels, minlength=num_classes).tolist())

    def select(self, indices: Tensor) -> Split:
        """Copy the images at the indices, int64 [M], into a split of M images."""
        parts = None if self.parts is None else self.parts.index_select(0, indices)
        return Split(self.images.index_select(0, indices), self.labels.index_select(0, indices), parts)

    def to(self, device: torch.device | str) -> Split:
        """Move the split to a device; without a copy if it is there already."""
        parts = None if self.parts is None else self.parts.to(device)
        return Split(self.images.to(device), self.labels.to(device), parts)


def concatenate(one: Split, other: Split, mapped_folder: Path | None = None) -> Split:
    """Concatenate two splits; `mapped_folder` as in `nas.data.mapped_images.join_images`."""
    parts = None if one.parts is None or other.parts is None else torch.cat([one.parts, other.parts])
    images = join_images(one.images, other.images, mapped_folder)
    return Split(images, torch.cat([one.labels, other.labels]), parts)


@dataclass(frozen=True, eq=False)
class SourceImages:
    """Images of a source before train, validation and test splits are drawn.

    Attributes:
        name: Displayed name of the data set.
        classes: Class names; a label is an index into them.
        test: The source's own test images; None if it has none.
        validation: The source's own validation images; None if it has none.
        inventory: What was given, used and left out; None if all images are used.
        names: Printable names of the images, by split; empty for images without names.
        groups: Number of each image's group, int64 [N], by split; a group stays in one split. None without groups.
        bits: Significant bits of images with 16 bits a channel, before they were scaled to 8.
        mapped_folder: Of images that are mapped from a file: folder for copies that are too large for the memory.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split | None = None
    validation: Split | None = None
    inventory: DatasetInventory | None = None
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    groups: Mapping[str, npt.NDArray[np.int64]] | None = None
    bits: int | None = None
    mapped_folder: Path | None = None

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that the source has, by name."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in splits.items() if split is not None}

    @property
    def full_inventory(self) -> DatasetInventory:
        """The inventory; that of a source without one has all images."""
        if self.inventory is not None:
            return self.inventory
        return DatasetInventory.of_images(sum(map(len, self.splits.values())))


@dataclass(frozen=True, eq=False)
class ImageData:
    """Data set of a search: disjoint training and validation splits, and the number of test images.

    Only finals read the test images themselves, see `nas.data.finals_data`.

    Attributes:
        name: Displayed name of the data set.
        classes: Class names; a label is an index into them.
        num_test: Number of images held out for testing.
        part_classes: For pairs, the class names that `Split.parts` indexes; else empty.
        inventory: What was given, used and left out.
        content: Hashes of all three splits, before pairs are made of them.
        bits: As in `SourceImages`.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    num_test: int
    part_classes: tuple[str, ...] = ()
    inventory: DatasetInventory | None = None
    content: DatasetContent | None = None
    bits: int | None = None

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def channels(self) -> int:
        """Channels of each image: 1 (grey) or 3 (colour); 2 or 6 for a pair."""
        return self.train.images.shape[1]

    @property
    def height(self) -> int:
        """Rows of each image."""
        return self.train.images.shape[2]

    @property
    def width(self) -> int:
        """Columns of each image."""
        return self.train.images.shape[3]
