"""Hashes of a data set's pixels and labels, by which a study recognises its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas.errors import shortened_list


@dataclass(frozen=True)
class SplitContent:
    """Hashes of a split.

    Attributes:
        digest: Hash of pixels and labels, in their order.
        classes: Hash of the pixels of each class, whatever their order.
    """

    digest: str
    classes: tuple[str, ...]


@dataclass(frozen=True)
class DatasetContent:
    """Hashes of the splits.

    Attributes:
        images: Hash of all images with their labels, whatever their order and split.
    """

    train: SplitContent
    validation: SplitContent
    test: SplitContent
    images: str

    @classmethod
    def from_tables(cls, tables: Mapping[str, Any]) -> DatasetContent:
        """Restore the hashes from `dataclasses.asdict`, after JSON."""
        splits = {
            name: SplitContent(tables[name]["digest"], tuple(tables[name]["classes"]))
            for name in ("train", "validation", "test")
        }
        return cls(**splits, images=tables["images"])

    @property
    def digests(self) -> dict[str, str]:
        """Hash of each split's pixels and labels, by the split's name."""
        return {"train": self.train.digest, "validation": self.validation.digest, "test": self.test.digest}

    def changes(self, now: DatasetContent, classes: Sequence[str]) -> list[str]:
        """List the splits whose pixels or labels have changed, one line each."""
        if self.images == now.images and self != now:
            return [
                "data: the same images, but in other splits or another order; names and folders decide both: restore "
                "them"
            ]
        lines = []
        for split in ("train", "validation", "test"):
            before, after = getattr(self, split), getattr(now, split)
            if before.digest == after.digest:
                continue
            pairs = zip(classes, before.classes, after.classes, strict=False)
            changed = [name for name, one, other in pairs if one != other]
            of_classes = f" of {shortened_list(changed)}" if changed else ", in another order"
            lines.append(f"data: other {split} images than before{of_classes}")
        return lines
