"""Slots of several baselines: claimed before all others, apart from the counts of trials."""

from __future__ import annotations

from sqlalchemy import Engine

from nas.search.storage.slot_conditions import BASELINE_SLOT, FIRST_INHERITED_SLOT, FIRST_OTHER_BASELINE_SLOT
from nas.search.storage.slot_counts import SharedCounts, SlotCounts
from nas.search.storage.slot_leases import Slots
from nas.search.storage.sql_tables import create_missing_tables


def _claimed(slots: Slots, **options: bool | int) -> list[int]:
    """Slots in the order of their claims, each finished at once."""
    claimed = []
    while (lease := slots.claim("a", 60.0, **options)) is not None:  # type: ignore[arg-type]
        claimed.append(lease.slot)
        slots.finish(lease, "completed")
    return claimed


def test_other_baselines_are_claimed_after_the_reference_and_before_the_trials(engine: Engine) -> None:
    create_missing_tables(engine)
    slots = Slots(engine, "flowers")
    assert slots.open_slots(2, other_baselines=2, elastic=1, inherited=1) == 7
    assert slots.counts() == SlotCounts(3, 0, 0)
    assert slots.shared_counts() == SharedCounts(0, 1, 0, 1)
    others = [FIRST_OTHER_BASELINE_SLOT, FIRST_OTHER_BASELINE_SLOT + 1]
    assert not slots.baseline_done(others[0])
    assert _claimed(slots, num_preliminary=1) == [BASELINE_SLOT, *others, 1, -1, FIRST_INHERITED_SLOT, 2]
    assert slots.baseline_done(others[0])


def test_the_baselines_alone_can_be_claimed(engine: Engine) -> None:
    create_missing_tables(engine)
    slots = Slots(engine, "flowers")
    slots.open_slots(2, other_baselines=1)
    assert slots.seconds_until_claimable(baseline_only=True) == 0
    assert _claimed(slots, baseline_only=True) == [BASELINE_SLOT, FIRST_OTHER_BASELINE_SLOT]
    assert slots.seconds_until_claimable(baseline_only=True) is None
    assert slots.open_slots(2, other_baselines=2) == 1
