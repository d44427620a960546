"""What is known of a data set without its images, and of weights without their numbers: what a study keeps of both."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class DatasetSummary:
    """A data set in numbers.

    Attributes:
        train_counts: Training images of each class.
        validation_counts: Validation images of each class.
        num_test: Test images, which no search opens.
        mean: Of each channel over the training images, pixels in [0, 1].
        std: Likewise.
        part_classes: Where each image is a pair: the names of the classes of its two parts, the first half of the
            channels being the one's; `classes` are then what is asked of the two. Else empty.
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

    @classmethod
    def from_json(cls, text: str) -> DatasetSummary:
        """Read what `json.dumps(asdict(facts))` wrote.

        Raises:
            TypeError: A key is missing or unknown.
        """
        raw: dict[str, Any] = json.loads(text)
        values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
        return cls(**values)

    def differences(self, other: DatasetSummary) -> list[str]:
        """What has changed in the images, one line each."""
        return [
            f"data.{field.name}: {getattr(self, field.name)} there, {getattr(other, field.name)} here"
            for field in fields(self)
            if getattr(self, field.name) != getattr(other, field.name)
        ]

    @property
    def fingerprint(self) -> str:
        """The same for the same images, however often they are loaded."""
        values = asdict(self)
        # Of data without pairs it is what it was before there were pairs, and so their checkpoints are of use.
        if not self.is_pair:
            del values["part_classes"]
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]

    @property
    def is_pair(self) -> bool:
        """Whether each image is two, with the channels of the one before those of the other."""
        return bool(self.part_classes)

    @property
    def unit(self) -> str:
        """What one example is called."""
        return "pair" if self.is_pair else "image"

    @property
    def num_train(self) -> int:
        return sum(self.train_counts)

    @property
    def num_validation(self) -> int:
        return sum(self.validation_counts)
