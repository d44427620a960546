"""Disjoint, stratified and seeded train, validation and test splits.

Every random selection has its own random stream, so a limit on one split does not change the others.
Array dimensions: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import IntEnum

import numpy as np

from nas.data.content_hashes import content_of
from nas.data.labelled_images import ImageData, SourceImages, Split
from nas.data.splits.class_sampling import Counts, Indices, apportion, hold_out, long_tail_counts
from nas.data.splits.equal_images import account_for_equal_images
from nas.data.splits.grouped_split import hold_out_groups
from nas.data.splits.split_part import SplitPart
from nas.errors import FaultyDataError, shortened_list
from nas.results.dataset_inventory import InventoryEntry
from nas.study.data_spec import OWN_SOURCES, DataSpec


class RandomStream(IntEnum):
    """Random streams of a data specification's seed, one for each random selection."""

    TEST = 0
    VALIDATION = 1
    SUBSAMPLE_TRAIN = 2
    SUBSAMPLE_VALIDATION = 3
    PAIR_TRAIN = 4
    PAIR_VALIDATION = 5
    PAIR_TEST = 6


def split_images(source: SourceImages, spec: DataSpec) -> tuple[ImageData, Split]:
    """Split a source's images, then subsample the splits to the specification's limits.

    Returns:
        The data set of the search, and the test images.

    Raises:
        DataError: A class has too few images to be split, or a limit is below one image per class.
    """
    num_classes = len(source.classes)
    faults = [*_small_class_faults(source), *_limit_faults(spec, num_classes)]
    if faults:
        raise FaultyDataError(source.name, faults)
    parts = draw_splits(source, spec)
    inventory = source.full_inventory.with_notes((), _group_counts(source, parts))
    if spec.source in OWN_SOURCES:
        parts, inventory = account_for_equal_images(source, parts, inventory, exclude=spec.excludes_leaks)
    limits = {
        "train": _train_counts(parts["train"].labels, spec, num_classes),
        "validation": apportion(_class_counts(parts["validation"].labels, num_classes), spec.max_validation_images),
    }
    streams = {"train": RandomStream.SUBSAMPLE_TRAIN, "validation": RandomStream.SUBSAMPLE_VALIDATION}
    limited = {
        name: parts[name].subsampled(sizes, stream_generator(spec, streams[name])) for name, sizes in limits.items()
    }
    inventory = inventory.with_left_out(
        InventoryEntry(f"{name} images beyond the limits in [data]", len(parts[name]) - len(limited[name]),
                       is_expected=True)
        for name in limited
    )  # fmt: skip
    inventory = inventory.with_notes((), _unused_fractions(source, spec))
    parts |= limited
    data = ImageData(
        name=source.name, classes=source.classes, train=parts["train"].images(),
        validation=parts["validation"].images(), num_test=len(parts["test"]), inventory=inventory, bits=source.bits,
    )  # fmt: skip
    test = parts["test"].images()
    splits = {"train": data.train, "validation": data.validation, "test": test}
    content = content_of({name: (split, parts[name].digests) for name, split in splits.items()}, num_classes)
    return replace(data, content=content), test


def draw_splits(source: SourceImages, spec: DataSpec) -> dict[str, SplitPart]:
    """Return all three splits as parts of the source's; those that it lacks are held out of its training images.

    Raises:
        DataError: The groups of a class cannot be divided.
    """
    parts = {name: SplitPart.whole(name, split, source) for name, split in source.splits.items()}
    drawn = [name for name in ("test", "validation") if name not in parts]
    fractions = {"test": spec.test_fraction, "validation": spec.validation_fraction}
    streams = {"test": RandomStream.TEST, "validation": RandomStream.VALIDATION}
    for place, name in enumerate(drawn, start=1):
        train, generator = parts["train"], stream_generator(spec, streams[name])
        # An image of each class remains for each split that is still to be drawn, and one for training.
        min_kept = len(drawn) - place + 1
        if train.groups is None:
            kept, held_out = hold_out(train.labels, fractions[name], generator, min_kept)
        else:
            kept, held_out = hold_out_groups(train.labels, train.groups, fractions[name], generator, source.classes)
        parts |= {"train": train.select(kept), name: train.select(held_out)}
    return parts


def small_classes_fault(classes: Sequence[str], counts: Sequence[int], splits: Iterable[str]) -> str | None:
    """Return an error message for classes too small to be split, or None.

    Args:
        counts: Training images of each class.
        splits: Splits that the source has: `train`, and perhaps `validation` and `test`.
    """
    parts = ["train", *(name for name in ("validation", "test") if name not in splits)]
    few = [f"{name!r} ({count})" for name, count in zip(classes, counts, strict=True) if count < len(parts)]
    if not few:
        return None
    listed = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
    return (
        f"too few training images to split into {listed}: {shortened_list(few)}; give each class at least {len(parts)}"
    )


def _small_class_faults(source: SourceImages) -> list[str]:
    counts = source.train.class_counts(len(source.classes))
    fault = small_classes_fault(source.classes, counts, source.splits)
    return [] if fault is None else [fault]


def _unused_fractions(source: SourceImages, spec: DataSpec) -> Iterator[str]:
    """Yield a sentence for each fraction that is set although the source has the images of the split."""
    fields = DataSpec.model_fields
    for split in ("validation", "test"):
        key = f"{split}_fraction"
        if split in source.splits and getattr(spec, key) != fields[key].default:
            yield f"{key} is not used, since the data have {split} images"


def _group_counts(source: SourceImages, parts: Mapping[str, SplitPart]) -> list[str]:
    """Return a sentence on the number of groups and their splits, if the images have groups."""
    groups = {name: part.groups for name in ("train", "validation", "test") if (part := parts[name]).groups is not None}
    if not groups:
        return []
    number = len(np.unique(np.concatenate(list(groups.values()))))
    of_split = ", ".join(f"{len(np.unique(one)):,} of {name}" for name, one in groups.items())
    return [f"group_by: {number:,} groups of {sum(map(len, parts.values())):,} images: {of_split}"]


def _limit_faults(spec: DataSpec, num_classes: int) -> list[str]:
    limits = {"max_train_images": spec.max_train_images, "max_validation_images": spec.max_validation_images}
    return [
        f"{key} = {limit} leaves classes without an image; there are {num_classes} classes, give at least that many"
        for key, limit in limits.items()
        if limit is not None and limit < num_classes
    ]


def _train_counts(labels: Indices, spec: DataSpec, num_classes: int) -> Counts:
    counts = _class_counts(labels, num_classes)
    if spec.images_per_class is not None:
        counts = np.minimum(counts, spec.images_per_class)
    if spec.long_tail is not None:
        counts = long_tail_counts(counts, spec.long_tail)
    return apportion(counts, spec.max_train_images)


def _class_counts(labels: Indices, num_classes: int) -> Counts:
    return np.bincount(labels, minlength=num_classes)


def stream_generator(spec: DataSpec, stream: RandomStream) -> np.random.Generator:
    """Create the random generator of one stream."""
    # numpy accepts no negative seeds; the remainder maps them to large ones.
    return np.random.default_rng([spec.seed % 2**64, stream.value])
