"""Loader for arrays of images and labels, in an `.npz` file or in `.npy` files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from nas.data.labelled_images import SourceImages, Split
from nas.data.sources.array_files import Arrays, read_arrays
from nas.data.sources.array_groups import ConvertedGroups, convert_groups
from nas.data.sources.array_pixels import ConvertedPixels, convert_pixels
from nas.data.sources.group_numbers import number_groups, ungrouped_note
from nas.data.sources.label_values import ConvertedLabels, convert_labels
from nas.data.sources.labelled_files import SPLITS, SplitName
from nas.data.splits.stratified_split import small_classes_fault
from nas.errors import FaultyDataError, shortened_list
from nas.results.dataset_inventory import DatasetInventory
from nas.results.printable_text import printable


def load_npz(path: Path, group_by: str | None = None) -> SourceImages:
    """Load the arrays of an npz file, or of npy files in a folder, without unpickling.

    Names are `x_train` and `y_train`, `train_images` and `train_labels` and the like, with `val` and `test` for the
    other splits, and `classes`.

    Args:
        group_by: Name of an array of groups, or of one for each split such as `patient_train`.

    Raises:
        DataError: The file is missing, is not an npz file, or its arrays have faults, which are all listed.
    """
    read = read_arrays(path, group_by)
    where = printable(str(path))
    _check_presence(read)
    pixels = convert_pixels({read.names[role]: array for role, array in read.arrays.items() if role[1] == "images"})
    train = read.names.get(("train", "labels"), "")
    labels = convert_labels(
        {read.names[role]: array for role, array in read.arrays.items() if role[1] == "labels"},
        train, read.arrays.get(("train", "classes")),
    )  # fmt: skip
    if ("train", "classes") in read.names and ("train", "classes") not in read.arrays:
        labels.faults.clear()  # The names could not be read, so the labels cannot be checked against them.
    faults = [*read.faults, *pixels.faults, *labels.faults]
    faults += _shape_faults(read, pixels)
    groups = None if group_by is None else convert_groups(read, group_by)
    faults += [] if groups is None else groups.faults
    if not faults:
        counts = np.bincount(labels.labels[train], minlength=len(labels.classes)).tolist()
        few = small_classes_fault(labels.classes, counts, [split for split, kind in read.names if kind == "images"])
        faults = [] if few is None else [few]
    if faults:
        raise FaultyDataError(where, faults)
    return _with_groups(_source(path, read, pixels, labels), groups)


def _source(path: Path, read: Arrays, pixels: ConvertedPixels, labels: ConvertedLabels) -> SourceImages:
    splits: dict[SplitName, Split] = {
        split: Split(
            torch.from_numpy(pixels.images[read.names[split, "images"]]),
            torch.from_numpy(labels.labels[read.names[split, "labels"]]),
        )
        for split in SPLITS
        if (split, "images") in read.names
    }
    inventory = DatasetInventory.of_images(sum(map(len, splits.values())))
    unused = [f"arrays that are not used: {shortened_list(read.unused)}"] if read.unused else []
    unused += [f"files that are not used: {shortened_list(read.other_files)}"] if read.other_files else []
    inventory = inventory.with_notes((), [*pixels.readings, *labels.readings, *unused])
    return SourceImages(
        printable(path.stem), labels.classes, splits["train"], splits.get("test"), splits.get("validation"), inventory
    )


def _with_groups(source: SourceImages, groups: ConvertedGroups | None) -> SourceImages:
    if groups is None:
        return source
    inventory = source.full_inventory.with_notes([ungrouped_note(groups.without)])
    return replace(source, groups=number_groups(groups.names), inventory=inventory)


def _check_presence(read: Arrays) -> None:
    """Record missing arrays, and images and labels of different lengths."""
    for split in SPLITS:
        images, labels = read.names.get((split, "images")), read.names.get((split, "labels"))
        part = {"train": "train", "validation": "val", "test": "test"}[split]
        missing = [f"{letter}_{part}" for letter, name in (("x", images), ("y", labels)) if name is None]
        if missing and (split == "train" or len(missing) == 1):
            read.faults.append(f"no array {' and no array '.join(missing)}; the file has {read.contents}")
        lengths = [
            read.arrays[split, kind].shape[0] if read.arrays[split, kind].ndim else 0
            for kind in ("images", "labels")
            if (split, kind) in read.arrays
        ]
        if len(lengths) == 2 and lengths[0] != lengths[1]:
            read.faults.append(f"{images} has {lengths[0]:,} images, {labels} has {lengths[1]:,} labels")


def _shape_faults(read: Arrays, pixels: ConvertedPixels) -> list[str]:
    """List the splits whose images differ in shape from the training images."""
    train = pixels.images.get(read.names.get(("train", "images"), ""))
    if train is None:
        return []
    return [
        f"{name}: images [C, H, W] of {list(images.shape[1:])} where {read.names['train', 'images']} has "
        f"{list(train.shape[1:])}"
        for name, images in pixels.images.items()
        if images.shape[1:] != train.shape[1:]
    ]
