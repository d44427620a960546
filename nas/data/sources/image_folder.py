"""Loader for images in files: a folder for each class, splits of such folders, or a table of files and labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from nas.data.decoding.decoded_image_cache import CachedImages, cached_images
from nas.data.decoding.file_kinds import VIDEO
from nas.data.decoding.image_decoding import Decoding
from nas.data.labelled_images import Progress, SourceImages, Split
from nas.data.sources.folder_inventory import folder_inventory
from nas.data.sources.folder_listing import HIDDEN, TABLE_SUFFIXES, FolderListing, list_folder
from nas.data.sources.group_numbers import number_groups, ungrouped_note
from nas.data.sources.labelled_files import (
    DEFAULT_LAYOUT,
    NOT_FOR_THIS_PROGRAM,
    FolderLayout,
    LabelledFile,
    LayoutSettings,
    SplitName,
    split_of_name,
)
from nas.data.sources.labels_of_folder import find_labels
from nas.data.sources.other_tasks import annotations_fault
from nas.data.sources.table_columns import LabelTable
from nas.data.splits.class_sampling import Indices
from nas.data.splits.stratified_split import small_classes_fault
from nas.errors import DataError, FaultyDataError, shortened_list
from nas.results.dataset_inventory import InventoryEntry, entries_of
from nas.results.printable_text import printable


@dataclass(frozen=True)
class FolderReading:
    """Folder to be read, and how.

    Attributes:
        cache: Folder of the decoded-image cache.
        name: Displayed name; default: that of the folder.
        settings: Keys that decide between readings of the folder.
        group_by: Regular expression on the path of an image, if no table has a column of this name.
        tables: Tables of labels; empty to find them.
        rows: Table of labels that was read with the images, in place of all others.
        left_out: Printable names of files that are not in the folder, such as members of an archive, by reason.
        where: Path for error messages; default: that of the folder.
    """

    root: Path
    decoding: Decoding
    cache: Path
    name: str | None = None
    settings: LayoutSettings = DEFAULT_LAYOUT
    group_by: str | None = None
    tables: tuple[Path, ...] = ()
    rows: LabelTable | None = None
    left_out: tuple[tuple[str, tuple[str, ...]], ...] = ()
    where: str | None = None


def load_folder(reading: FolderReading, progress: Progress | None = None) -> SourceImages:
    """Load the images of a folder.

    Raises:
        DataError: The folder is missing, or has faults, which are all listed.
    """
    where = reading.where or printable(str(reading.root))
    reading, listing = _without_wrapping_folder(reading, _listed(reading.root))
    for reason, names in reading.left_out:
        listing.given += len(names)
        listing.left_out.setdefault(reason, []).extend(names)
    layout = find_labels(reading.root, listing, reading.settings, reading.tables, reading.rows)
    faults = [*layout.faults] or _class_faults(where, layout, listing)
    cached: CachedImages | None = None
    if layout.files:
        files = [file.file for file in layout.files]
        try:
            cached = cached_images(reading.root, files, reading.decoding, reading.cache, progress)
        except FaultyDataError as error:
            faults.extend(error.faults)
    if cached is None:
        raise FaultyDataError(where, faults)
    kept = [layout.files[index] for index in cached.account.kept]
    faults = faults or _decoded_faults(layout, kept)
    if faults:
        raise FaultyDataError(where, [*faults, *(entry.text for entry in entries_of(cached.account.left_out))])
    inventory = folder_inventory(listing, layout, cached.account)
    groups, ungrouped = _groups(kept, layout, reading.group_by)
    splits = _splits(cached, kept, layout)
    return SourceImages(
        name=reading.name or printable(reading.root.resolve().name),
        classes=layout.classes,
        train=splits["train"],
        test=splits.get("test"),
        validation=splits.get("validation"),
        inventory=inventory.with_notes([ungrouped]),
        names={split: [printable(file.file.name) for file in kept if file.split == split] for split in splits},
        groups=groups,
        bits=cached.account.bits,
        mapped_folder=reading.cache,
    )


def _listed(root: Path) -> FolderListing:
    where = printable(str(root))
    if not root.is_dir():
        raise DataError(f"{where}: no such folder")
    try:
        return list_folder(root)
    except OSError as error:
        raise DataError(f"{where}: cannot be read ({error.strerror})") from error


def _without_wrapping_folder(reading: FolderReading, listing: FolderListing) -> tuple[FolderReading, FolderListing]:
    """Return the reading of the only folder in the given one, if it has a table of labels: archives often have one."""
    tops = {folder[0] for folder in listing.folders}
    is_wrapped = len(tops) == 1 and not listing.tables and all(image.parts for image in listing.images)
    is_given = reading.rows is not None or reading.tables or (reading.root / (reading.settings.labels or ".")).is_file()
    if not is_wrapped or is_given or split_of_name(next(iter(tops))) is not None:
        return reading, listing
    (top,) = tops
    # Looked for first, since a listing opens files.
    if not any(path.suffix.lower() in TABLE_SUFFIXES for path in (reading.root / top).glob("*")):
        return reading, listing
    inner = list_folder(reading.root / top)
    outside = {name for name in listing.left_out.get(HIDDEN, ()) if not name.startswith(f"{printable(top)}/")}
    if not inner.tables or inner.given + len(outside) != listing.given:
        return reading, listing
    inner.given += len(outside)
    if outside:
        inner.left_out.setdefault(HIDDEN, []).extend(sorted(outside))
    name = reading.name or printable(reading.root.resolve().name)
    where = reading.where or printable(str(reading.root))
    return replace(reading, root=reading.root / top, name=name, where=where), inner


def _class_faults(where: str, layout: FolderLayout, listing: FolderListing) -> list[str]:
    """List the faults of classes and splits that are known before an image is opened."""
    if len(layout.classes) < 2 and (fault := annotations_fault(listing)):
        return [fault]
    if not layout.classes:
        left_out = "; ".join(entry.text for entry in (*layout.left_out, *entries_of(listing.left_out)))
        if f"no image ({VIDEO})" in listing.left_out:
            return [f"{len(listing.left_out[f'no image ({VIDEO})'])} videos; video is {NOT_FOR_THIS_PROGRAM}"]
        if layout.given is not None:
            others = shortened_list(sorted({file.split for file in layout.files}))
            what = f"no row of training images, only of {others}" if others else "no row that can be used"
            return [what + (f" ({left_out})" if left_out else "")]
        return [
            f"no class folders in {where}; expected train/<class>/* or <class>/*, or a table of files and labels"
            + (f" ({left_out})" if left_out else "")
        ]
    faults = []
    if len(layout.classes) == 1:
        unused = [entry.text for entry in entries_of(listing.left_out, (HIDDEN,)) if not entry.is_expected]
        faults.append(
            f"one class only ({layout.classes[0]}); a classifier needs at least 2"
            + (f", from folders or a table (.csv, .tsv, .parquet); not used: {'; '.join(unused)}" if unused else "")
        )
    few = _small_classes(layout, layout.files)
    if few is not None:
        faults.append(few)
    for split in layout.splits[1:]:
        found = {file.label for file in layout.files if file.split == split}
        unknown = sorted(found.difference(layout.classes))
        if unknown:
            faults.append(
                f"{split}/ has classes that train/ lacks: {shortened_list(unknown)}; add them there or remove them"
                + _case_hint(unknown, layout.classes)
            )
        if not found:
            faults.append(f"{split}/ has no images; fill its class folders, or remove it to hold out a part of train/")
    if faults and layout.empty:
        faults.insert(0, f"classes without an image: {shortened_list(layout.empty)}; add images or remove the folders")
    return faults


def _case_hint(unknown: Sequence[str], classes: Sequence[str]) -> str:
    known = {name.casefold().strip(): name for name in classes}
    alike = [f"{name!r} is not {known[key]!r}" for name in unknown if (key := name.casefold().strip()) in known]
    return f" ({shortened_list(alike)})" if alike else ""


def _small_classes(layout: FolderLayout, files: Sequence[LabelledFile]) -> str | None:
    counts = Counter(file.label for file in files if file.split == "train")
    filled = [label for label in layout.classes if counts[label]]
    return small_classes_fault(filled, [counts[label] for label in filled], layout.splits)


def _decoded_faults(layout: FolderLayout, kept: Sequence[LabelledFile]) -> list[str]:
    """List the faults that come from images which cannot be read."""
    counts = Counter((file.split, file.label) for file in kept)
    lost = [label for label in layout.classes if not counts["train", label]]
    if lost:
        return [f"classes without a training image that can be read: {shortened_list(lost)}"]
    empty = [split for split in layout.splits[1:] if not any(file.split == split for file in kept)]
    if empty:
        return [f"{split}/ has no image that can be read" for split in empty]
    few = _small_classes(layout, kept)
    return [] if few is None else [few]


def _splits(cached: CachedImages, kept: Sequence[LabelledFile], layout: FolderLayout) -> dict[SplitName, Split]:
    """Cut the pixels into the splits; the files are in the order of splits."""
    places = {label: place for place, label in enumerate(layout.classes)}
    labels = torch.tensor([places[file.label] for file in kept], dtype=torch.int64)
    of_file = np.array([layout.splits.index(file.split) for file in kept])
    splits: dict[SplitName, Split] = {}
    for place, split in enumerate(layout.splits):
        start, stop = (int(edge) for edge in np.searchsorted(of_file, [place, place + 1]))
        splits[split] = Split(torch.from_numpy(cached.pixels[start:stop]), labels[start:stop])
    return splits


def _groups(
    kept: Sequence[LabelledFile], layout: FolderLayout, pattern: str | None
) -> tuple[dict[str, Indices] | None, InventoryEntry]:
    """Return the number of each image's group by split, and a note on the images of no group.

    Raises:
        DataError: No image is in a group.
    """
    if pattern is None:
        return None, ungrouped_note([])
    names = {
        str(split): [
            file.group if layout.has_groups else _group_of_path(file.file.name, pattern)
            for file in kept
            if file.split == split
        ]
        for split in layout.splits
    }
    # The files are in the order of splits.
    flat = [name for of_split in names.values() for name in of_split]
    without = [printable(file.file.name) for file, name in zip(kept, flat, strict=True) if name is None]
    if len(without) == len(kept) and layout.has_groups:
        raise DataError(f"group_by: the column {pattern!r} has no group of any image that is used")
    if len(without) == len(kept):
        raise DataError(
            f"group_by: {pattern!r} is no column of a table, and as a regular expression it finds nothing in the "
            f"paths, such as {without[0]}"
        )
    return number_groups(names), ungrouped_note(without)


def _group_of_path(path: str, pattern: str) -> str | None:
    found = re.search(pattern, path)
    if found is None:
        return None
    return found[1] if found.re.groups else found[0]
