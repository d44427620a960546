"""Inventory of a folder of images."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from nas.data.decoding.conversions import Conversion
from nas.data.decoding.decoded_folder import DecodedFolder
from nas.data.sources.folder_listing import HIDDEN, FolderListing
from nas.data.sources.labelled_files import FolderLayout
from nas.errors import shortened_list
from nas.results.dataset_inventory import MAX_NAMES, DatasetInventory, InventoryEntry, entries_of, merged
from nas.results.printable_text import printable

UNUSED_TABLE = "tables, not used"
USUAL = tuple(conversion.value for conversion in Conversion if conversion is not Conversion.STRIP)
"""Conversions of which the number is enough where names are not asked for."""


def folder_inventory(listing: FolderListing, layout: FolderLayout, account: DecodedFolder) -> DatasetInventory:
    """Account for all files of a folder, and for the rows of its tables of labels."""
    others = sum(map(len, listing.left_out.values())) + len(listing.tables)
    unused = {UNUSED_TABLE: [printable(name) for name in listing.tables]}
    left_out = (
        *entries_of(account.left_out), *layout.left_out, *entries_of(unused), *entries_of(listing.left_out, (HIDDEN,)),
    )  # fmt: skip
    notes = [*layout.notes, *entries_of(account.conversions, USUAL)]
    if account.bits is not None:
        reason = f"of 16 bits a channel, of which {account.bits} are scaled to 8 ([data] bits sets others)"
        notes.append(InventoryEntry(reason, len(account.deep), tuple(account.deep[:MAX_NAMES]), is_expected=True))
    if account.coloured:
        reason = "in colour among grey ones, so all are read in colour ([data] channels = 1 reads all in grey)"
        notes.append(InventoryEntry(reason, len(account.coloured), tuple(account.coloured)))
    pages = _further_pages(account)
    return DatasetInventory(
        (listing.given if layout.given is None else layout.given + others) + pages.count,
        len(account.kept),
        merged(entry for entry in (*left_out, pages) if entry.count),
        tuple(notes),
        (*layout.readings, *_readings(layout, account)),
        layout.unit + (" and further pages" if pages.count else ""),
    )


def _further_pages(account: DecodedFolder) -> InventoryEntry:
    """Return the frames and pages that are not used."""
    names = (f"{name} ({number})" for name, further in account.further.items() for number in range(2, further + 2))
    reason = "frames or pages after the first of their file (save each as a file of its own to use it)"
    return InventoryEntry(reason, sum(account.further.values()), tuple(islice(names, MAX_NAMES)))


def _colour_of_classes(layout: FolderLayout, account: DecodedFolder) -> list[str]:
    """Name the classes that are all grey, or all in colour, while others are the opposite: colour tells them."""
    classes = [layout.files[number].label for number in account.kept]
    grey = Counter(classes[place] for place in account.grey)
    total = Counter(classes)
    all_grey = [label for label in layout.classes if grey[label] == total[label]]
    all_coloured = [label for label in layout.classes if not grey[label]]
    if not all_grey or not all_coloured:
        return []
    return [
        f"all images are grey of {shortened_list(all_grey)}, and in colour of {shortened_list(all_coloured)}, so that "
        "colour alone tells these classes ([data] channels = 1 reads all in grey)"
    ]


def _readings(layout: FolderLayout, account: DecodedFolder) -> list[str]:
    readings = []
    if layout.empty:
        readings.append(f"folders without an image, which are no classes: {shortened_list(layout.empty)}")
    readings += _colour_of_classes(layout, account)
    for split in layout.splits[1:]:
        found = {file.label for file in layout.files if file.split == split}
        missing = [label for label in layout.classes if label not in found]
        if missing:
            readings.append(f"classes without {split} images: {shortened_list(missing)}")
    return readings
