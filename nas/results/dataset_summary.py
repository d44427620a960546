"""Summary of a data set, stored with a study."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from nas.errors import shortened_list
from nas.results.dataset_content import DatasetContent
from nas.results.dataset_inventory import DatasetInventory


@dataclass(frozen=True)
class DatasetSummary:
    """Classes, sizes and pixel statistics of a data set.

    Attributes:
        train_counts: Training images of each class.
        validation_counts: Validation images of each class.
        num_test: Number of test images, which a search never loads.
        mean: Mean of each channel over the training images, pixels in [0, 1].
        std: Standard deviation of each channel, as for `mean`.
        part_classes: For pairs: class names of the two images, whose channels are the first and the second half;
            `classes` are then the relations. Empty for single images.
        bits: Significant bits of images with 16 bits a channel, before they were scaled to 8; None without such images.
        content: Hashes of pixels and labels; None for a study of an earlier version.
        inventory: What was given, used and left out; None for a study of an earlier version.
    """

    name: str
    classes: tuple[str, ...]
    channels: int
    height: int
    width: int
    train_counts: tuple[int, ...]
    validation_counts: tuple[int, ...]
    num_test: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    part_classes: tuple[str, ...] = ()
    bits: int | None = None
    content: DatasetContent | None = None
    inventory: DatasetInventory | None = None

    @property
    def image_size(self) -> tuple[int, int]:
        """Rows and columns of an image."""
        return self.height, self.width

    @classmethod
    def from_json(cls, text: str) -> DatasetSummary:
        """Parse the JSON of `json.dumps(asdict(summary))`.

        Raises:
            TypeError: A key is missing or unknown.
        """
        raw: dict[str, Any] = json.loads(text)
        values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
        if values.get("content") is not None:
            values["content"] = DatasetContent.from_tables(values["content"])
        if values.get("inventory") is not None:
            values["inventory"] = DatasetInventory.from_tables(values["inventory"])
        return cls(**values)

    def differences(self, other: DatasetSummary) -> list[str]:
        """List the differences between two summaries, one line per field.

        With the hashes of both, the name of the data set may differ: the images were moved.
        """
        excluded = {"content", "inventory", "bits"}
        changes: list[str] = []
        if self.content is not None and other.content is not None:
            excluded |= {"name", "mean", "std"}
            changes = self.content.changes(other.content, self.classes)
        return [
            *(
                f"data.{key}: {_shown(getattr(self, key))} there, {_shown(getattr(other, key))} here"
                for key in (field.name for field in fields(self))
                if key not in excluded and getattr(self, key) != getattr(other, key)
            ),
            *changes,
        ]

    def has_same_images(self, other: DatasetSummary) -> bool:
        """Return True if all pixels, labels and splits are known to be equal."""
        return self.content is not None and self.content == other.content and not self.differences(other)

    def as_stored(self) -> DatasetSummary:
        """Return the summary with an inventory short enough to be stored."""
        return self if self.inventory is None else replace(self, inventory=self.inventory.shortened())

    @property
    def fingerprint(self) -> str:
        """Hash of the summary, equal for every load of the same images."""
        values = asdict(self)
        # Added later; the fingerprint stays that of earlier versions.
        for key in ("bits", "content", "inventory"):
            del values[key]
        # Keeps the fingerprint of versions without pairs, so that their checkpoints remain valid.
        if not self.is_pair:
            del values["part_classes"]
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]

    @property
    def is_pair(self) -> bool:
        """True if each example is a pair of images, concatenated along the channels."""
        return bool(self.part_classes)

    @property
    def unit(self) -> str:
        """Noun for one example: "pair" or "image"."""
        return "pair" if self.is_pair else "image"

    @property
    def num_train(self) -> int:
        return sum(self.train_counts)

    @property
    def num_validation(self) -> int:
        return sum(self.validation_counts)


def _shown(value: object) -> str:
    """Text of a field, with the first of many values alone."""
    return f"({shortened_list([str(one) for one in value])})" if isinstance(value, tuple) else str(value)
