"""Equal images: repetitions in a class, equal images of two classes, and test images among the training images.

Array dimensions: N images.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from nas.data.content_hashes import labelled_digests
from nas.data.labelled_images import SourceImages
from nas.data.splits.split_part import SplitPart
from nas.errors import FaultyDataError, shortened_list
from nas.results.dataset_inventory import DatasetInventory, InventoryEntry

Mask = npt.NDArray[np.bool_]

_HELD_OUT = {"train": ("test", "validation"), "validation": ("test",)}
"""Splits whose images must not be in each of the others."""


def account_for_equal_images(
    source: SourceImages, parts: dict[str, SplitPart], inventory: DatasetInventory, *, exclude: bool
) -> tuple[dict[str, SplitPart], DatasetInventory]:
    """Remove from a split what equals, or is of a group with, an image it is scored on; note other equal images.

    Args:
        exclude: False to keep the images and only note them.

    Raises:
        DataError: All training images of a class would be removed.
    """
    kept = dict(parts)
    entries: list[InventoryEntry] = []
    for name, others in _HELD_OUT.items():
        part = parts[name]
        is_kept = np.ones(len(part), bool)
        for other in others:
            for reason, leaks in _leaks(part, parts[other], other):
                found = is_kept & leaks
                is_kept &= ~leaks
                reason = f"{name} images {reason}"
                entries.append(InventoryEntry(reason, int(found.sum()), part.names(found)))
        kept[name] = part.select(is_kept)
    if not exclude:
        return parts, inventory.with_notes([*_repetitions(parts), *entries])
    _require_training_images(source, kept["train"])
    return kept, inventory.with_left_out(entries).with_notes(_repetitions(kept))


def _leaks(part: SplitPart, other: SplitPart, name: str) -> Iterator[tuple[str, Mask]]:
    """Yield masks of the images that are also in another split, with a phrase for each kind.

    Args:
        name: That of the other split.
    """
    yield (
        f"equal to a {name} image",
        np.isin(labelled_digests(part.digests, part.labels), labelled_digests(other.digests, other.labels)),
    )
    in_doubt = f"equal to a {name} image of another class: one of the labels is wrong"
    yield in_doubt, np.isin(part.digests, other.digests)
    if part.groups is not None and other.groups is not None:
        yield f"of the group of a {name} image", np.isin(part.groups, other.groups)


def _repetitions(parts: dict[str, SplitPart]) -> Iterator[InventoryEntry]:
    """Yield notes on equal images within a class of a split, and of equal images in several classes."""
    repeated: list[str] = []
    for part in parts.values():
        keys = np.stack([part.digests, part.labels.astype(np.uint64)])
        _, first = np.unique(keys, axis=1, return_index=True)
        is_repeated = np.ones(len(part), bool)
        is_repeated[first] = False
        repeated += part.names(is_repeated)
    yield InventoryEntry(
        "equal to another image of their class and split", len(repeated), tuple(repeated), is_expected=True
    )
    digests = np.concatenate([part.digests for part in parts.values()])
    labels = np.concatenate([part.labels for part in parts.values()])
    order = np.lexsort((labels, digests))
    same, other = np.diff(digests[order]) == 0, np.diff(labels[order]) != 0
    in_doubt = np.unique(digests[order][1:][same & other])
    names = [name for part in parts.values() for name in part.names(np.isin(part.digests, in_doubt))]
    yield InventoryEntry("equal to an image of another class: one of the labels is wrong", len(names), tuple(names))


def _require_training_images(source: SourceImages, train: SplitPart) -> None:
    counts = np.bincount(train.labels, minlength=len(source.classes))
    empty = [source.classes[label] for label in np.flatnonzero(counts == 0)]
    if empty:
        raise FaultyDataError(
            source.name,
            [f'all training images equal test or validation images: {shortened_list(empty)}; give others, or '
             'set [data] leaks = "keep"'],
        )  # fmt: skip
