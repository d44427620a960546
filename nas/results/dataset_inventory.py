"""Inventory of a data set: each image that was given is used, or left out for a reason.

No torch: the inventory travels between processes and is stored with the study.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nas.errors import NUM_LISTED, shortened_list

_PLURAL = re.compile(r"^((?:(?:empty|no regular|train|validation) )?(?:file|folder|image|link|member|row|table))s\b")
MAX_NAMES = 10_000
"""Names kept of one entry in a check; a study keeps `NUM_LISTED`."""


@dataclass(frozen=True)
class InventoryEntry:
    """Images that were left out, or used in a way worth knowing, for one reason.

    Attributes:
        reason: Phrase after a number of images, such as "damaged or cut off".
        count: Number of images.
        names: The first names, printable.
        is_expected: True for what a setting of the user leaves out, for files of the operating system, and for usual
            conversions.
    """

    reason: str
    count: int
    names: tuple[str, ...] = ()
    is_expected: bool = False

    @property
    def phrase(self) -> str:
        """Reason in the number of the count: "row without a label" for 1."""
        return _PLURAL.sub(r"\1", self.reason) if self.count == 1 else self.reason

    @property
    def text(self) -> str:
        """Number, reason and first names in one line."""
        return f"{self.count:,} {self.phrase}" + (f": {self.names_text}" if self.names else "")

    @property
    def short_text(self) -> str:
        """Number and reason, and the first names of what is not expected."""
        return f"{self.count:,} {self.phrase}" if self.is_expected else self.text

    @property
    def names_text(self) -> str:
        """First names, and the number of the others."""
        return shortened_list(self.names, max(self.count, len(self.names))) if self.names else ""

    def without(self, names: Collection[str]) -> InventoryEntry:
        """Remove images by their names."""
        left = tuple(name for name in self.names if name not in names)
        return replace(self, count=self.count - len(self.names) + len(left), names=left)


@dataclass(frozen=True)
class DatasetInventory:
    """Account of a data set: `given` = `used` + `num_left_out`.

    Attributes:
        given: Files or rows that the user gave, of any kind.
        used: Images in the splits.
        left_out: Entries of what is in no split.
        notes: Entries of images that are used, with a conversion or a reading that the user should know.
        readings: Sentences on how the data set was read where another reading exists, with the key that decides.
        unit: Plural noun for what was given.
    """

    given: int
    used: int
    left_out: tuple[InventoryEntry, ...] = ()
    notes: tuple[InventoryEntry, ...] = ()
    readings: tuple[str, ...] = ()
    unit: str = "images"

    @classmethod
    def of_images(cls, num_images: int) -> DatasetInventory:
        """Inventory of a data set whose images are all used."""
        return cls(num_images, num_images)

    @classmethod
    def from_tables(cls, tables: Mapping[str, Any]) -> DatasetInventory:
        """Restore the inventory from `dataclasses.asdict`, after JSON."""
        entries = {
            key: tuple(InventoryEntry(**{**one, "names": tuple(one["names"])}) for one in tables[key])
            for key in ("left_out", "notes")
        }
        return cls(**{**tables, **entries, "readings": tuple(tables["readings"])})

    @property
    def num_left_out(self) -> int:
        """Number of files or rows in no split."""
        return sum(entry.count for entry in self.left_out)

    @property
    def num_unexplained(self) -> int:
        """Difference of the account; 0 unless a reader has lost count."""
        return self.given - self.used - self.num_left_out

    @property
    def is_remarkable(self) -> bool:
        """True if anything was left out, converted, or read in one of several ways."""
        return bool(self.left_out or self.notes or self.readings or self.num_unexplained)

    @property
    def sentence(self) -> str:
        """The account in one line."""
        parts = [f"{self.used:,} of {self.given:,} {self.unit} are used"]
        parts += [f"left out: {entry.short_text}" for entry in self.left_out]
        parts += [entry.short_text for entry in self.notes]
        parts += self.readings
        return "; ".join(parts)

    @property
    def faults(self) -> list[str]:
        """Lines of an error about what was left out unexpectedly, for a strict check."""
        return [f"left out: {entry.text}" for entry in self.left_out if not entry.is_expected]

    def with_left_out(self, entries: Iterable[InventoryEntry]) -> DatasetInventory:
        """Move images from `used` to `left_out`, and out of the notes; entries without images are dropped."""
        new = tuple(entry for entry in entries if entry.count)
        gone = {name for entry in new for name in entry.names}
        notes = (entry.without(gone) for entry in self.notes)
        return replace(
            self, used=self.used - sum(entry.count for entry in new), left_out=merged((*self.left_out, *new)),
            notes=tuple(entry for entry in notes if entry.count),
        )  # fmt: skip

    def with_notes(self, entries: Iterable[InventoryEntry], readings: Iterable[str] = ()) -> DatasetInventory:
        """Add notes and readings; entries without images are dropped."""
        new = tuple(entry for entry in entries if entry.count)
        return replace(self, notes=merged((*self.notes, *new)), readings=(*self.readings, *readings))

    def shortened(self) -> DatasetInventory:
        """Return the inventory with the first names alone, as a study stores it."""

        def shorten(entries: Sequence[InventoryEntry]) -> tuple[InventoryEntry, ...]:
            return tuple(replace(entry, names=entry.names[:NUM_LISTED]) for entry in entries)

        return replace(self, left_out=shorten(self.left_out), notes=shorten(self.notes))


def merged(entries: Iterable[InventoryEntry]) -> tuple[InventoryEntry, ...]:
    """Merge the entries of equal reasons, in the order of first occurrence."""
    by_reason: dict[str, InventoryEntry] = {}
    for entry in entries:
        known = by_reason.get(entry.reason)
        by_reason[entry.reason] = (
            entry
            if known is None
            else replace(known, count=known.count + entry.count, names=(*known.names, *entry.names)[:MAX_NAMES])
        )
    return tuple(by_reason.values())


def entries_of(
    names_by_reason: Mapping[str, Sequence[str]], expected: Collection[str] = ()
) -> tuple[InventoryEntry, ...]:
    """Make an entry of each reason with its names.

    Args:
        expected: Reasons that are no error in a strict check.
    """
    return tuple(
        InventoryEntry(reason, len(names), tuple(sorted(names)[:MAX_NAMES]), reason in expected)
        for reason, names in names_by_reason.items()
    )
