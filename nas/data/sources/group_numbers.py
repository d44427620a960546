"""Numbers of the groups of images, such as all images of a patient, from their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nas.data.splits.class_sampling import Indices
from nas.results.dataset_inventory import InventoryEntry


def number_groups(names: Mapping[str, Sequence[str | None]]) -> dict[str, Indices]:
    """Number the groups of all splits; an image without a name is a group of its own.

    Args:
        names: Group of each image by split, None without one.

    Returns:
        int64 [N] by split; equal names have equal numbers, in every split.
    """
    numbers: dict[object, int] = {}
    return {
        split: np.array(
            [
                numbers.setdefault((split, place) if name is None else name, len(numbers))
                for place, name in enumerate(of_split)
            ],
            np.int64,
        )
        for split, of_split in names.items()
    }


def ungrouped_note(images: Sequence[str]) -> InventoryEntry:
    """Return a note on images of no group.

    Args:
        images: Their printable names.
    """
    return InventoryEntry("of no group, each taken for a group of its own", len(images), tuple(images))
