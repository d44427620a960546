"""Several faults of one data set as one error."""

from __future__ import annotations

from collections.abc import Sequence

from nas.errors import DataError

NUM_LISTED = 5


class FaultyDataError(DataError):
    """A data set has faults; every one of them is listed.

    Args:
        where: The file, the folder, or the name of the data set.
        faults: One line a fault, each saying what is wrong and what to do.
    """

    def __init__(self, where: str, faults: Sequence[str]) -> None:
        self.where = where
        self.faults = tuple(faults)
        if len(self.faults) == 1:
            super().__init__(f"{where}: {self.faults[0]}")
        else:
            super().__init__("\n".join([f"{where}: {len(self.faults)} faults", *(f"  {f}" for f in self.faults)]))


def listed(items: Sequence[str], total: int | None = None) -> str:
    """The first few items in one line, and the number of the others.

    Args:
        items: At least the items to be shown.
        total: How many there are, where `items` is only their beginning.
    """
    num_others = (len(items) if total is None else total) - len(items[:NUM_LISTED])
    shown = ", ".join(items[:NUM_LISTED])
    match num_others:
        case 0:
            return shown
        case 1:
            return f"{shown} and 1 other"
        case _:
            return f"{shown} and {num_others} others"
