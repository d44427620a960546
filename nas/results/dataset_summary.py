"""Summary of a data set, stored with a study."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any


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
        return cls(**values)

    def differences(self, other: DatasetSummary) -> list[str]:
        """List the differences between two summaries, one line per field."""
        return [
            f"data.{field.name}: {getattr(self, field.name)} there, {getattr(other, field.name)} here"
            for field in fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        ]

    @property
    def fingerprint(self) -> str:
        """Hash of the summary, equal for every load of the same images."""
        values = asdict(self)
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
