"""Inventory of a folder of images."""

from __future__ import annotations

from nas.data.decoding.decoded_folder import DecodedFolder
from nas.data.sources.folder_listing import HIDDEN, FolderListing
from nas.data.sources.labelled_files import FolderLayout
from nas.errors import shortened_list
from nas.results.dataset_inventory import DatasetInventory, InventoryEntry, entries_of, merged
from nas.results.printable_text import printable

UNUSED_TABLE = "tables, not used"


def folder_inventory(listing: FolderListing, layout: FolderLayout, account: DecodedFolder) -> DatasetInventory:
    """Account for all files of a folder, and for the rows of its tables of labels."""
    others = sum(map(len, listing.left_out.values())) + len(listing.tables)
    unused = {UNUSED_TABLE: [printable(name) for name in listing.tables]}
    left_out = (
        *entries_of(account.left_out), *layout.left_out, *entries_of(unused), *entries_of(listing.left_out, (HIDDEN,)),
    )  # fmt: skip
    notes = [*layout.notes, *entries_of(account.conversions)]
    if account.coloured:
        reason = "in colour among grey ones, so all are read in colour ([data] channels = 1 reads all in grey)"
        notes.append(InventoryEntry(reason, len(account.coloured), tuple(account.coloured)))
    return DatasetInventory(
        listing.given if layout.given is None else layout.given + others,
        len(account.kept),
        merged(entry for entry in left_out if entry.count),
        tuple(notes),
        (*layout.readings, *_readings(layout, account)),
        layout.unit,
    )


def _readings(layout: FolderLayout, account: DecodedFolder) -> list[str]:
    readings = []
    if layout.empty:
        readings.append(f"folders without an image, which are no classes: {shortened_list(layout.empty)}")
    if account.bits is not None:
        readings.append(
            f"images of 16 bits a channel hold {account.bits} bits, which are scaled to 8 ([data] bits sets others)"
        )
    for split in layout.splits[1:]:
        found = {file.label for file in layout.files if file.split == split}
        missing = [label for label in layout.classes if label not in found]
        if missing:
            readings.append(f"classes without {split} images: {shortened_list(missing)}")
    return readings
