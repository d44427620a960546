"""Long lists of what is wrong, shortened for one line."""

from __future__ import annotations

from collections.abc import Sequence

NUM_LISTED = 5


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
