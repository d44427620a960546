"""SQL conditions on slots: whether one is open, claimable or leased, and the phase of a search that it is in."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, case, func, or_, text

from nas.search.storage.sql_tables import slots as _slots

BASELINE_SLOT = 0
FIRST_INHERITED_SLOT = 1_000_000
"""Slots from here on are for slices that are scored with shared weights; negative ones are for elastic trainings."""
FIRST_OTHER_BASELINE_SLOT = 2_000_000
"""Slots from here on are for the baselines that are not the reference."""


def is_baseline_slot(slots: FromClause) -> ColumnElement[bool]:
    """Condition of a slot of a baseline, which waits for no other."""
    return or_(slots.c.slot == BASELINE_SLOT, slots.c.slot >= FIRST_OTHER_BASELINE_SLOT)


def phase_of(slots: FromClause, num_preliminary: int) -> ColumnElement[int]:
    """Phase of a slot: 1 for preliminary trials, 2 for elastic trainings, 3 for scores of slices, 4 for trials."""
    return case(
        (slots.c.slot < BASELINE_SLOT, 2), (slots.c.slot >= FIRST_INHERITED_SLOT, 3),
        (slots.c.slot <= num_preliminary, 1), else_=4,
    )  # fmt: skip


def is_open() -> ColumnElement[bool]:
    """Condition of a slot whose work is not done."""
    return _slots.c.state == "open"


# The database's clock, since workers' clocks differ. clock_timestamp() instead of now(), the start of the transaction:
# with now() a lease would start before the search for a slot, and inside a caller's longer transaction leases would be
# granted and checked by an outdated time. A statement that waits for a row's lock still counts from before the wait;
# that lease ends early, which `attempt` makes harmless.


def is_claimable() -> ColumnElement[bool]:
    """Condition of an open slot without a lease that holds."""
    return and_(is_open(), or_(_slots.c.until.is_(None), _slots.c.until < func.clock_timestamp()))


def is_leased() -> ColumnElement[bool]:
    """Condition of an open slot with a lease that holds."""
    return and_(is_open(), _slots.c.until >= func.clock_timestamp())


def time_after(seconds: float) -> ColumnElement[Any]:
    """Time of the database's clock so many seconds from now."""
    return func.clock_timestamp() + text("make_interval(secs => :seconds)").bindparams(seconds=seconds)
