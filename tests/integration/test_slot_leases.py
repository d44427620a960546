from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from nas import database
from nas.errors import DatabaseError
from nas.search.storage.slot_conditions import BASELINE_SLOT, FIRST_INHERITED_SLOT
from nas.search.storage.slot_counts import Owner, SharedCounts, SlotCounts
from nas.search.storage.slot_leases import Lease, Slots
from nas.search.storage.sql_tables import create_missing_tables

LONG = 60.0
SHORT = 0.15


@pytest.fixture
def slots(engine: Engine) -> Slots:
    create_missing_tables(engine)
    return Slots(engine, "flowers")


def claimed(slots: Slots, owner: str = "a", lease_seconds: float = LONG) -> Lease:
    lease = slots.claim(owner, lease_seconds)
    assert lease is not None
    return lease


def rows(engine: Engine) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text("SELECT * FROM nas_slots ORDER BY study, slot"))]


class _Borrowed:
    """Engine of one connection with an open transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def connect(self) -> AbstractContextManager[Connection]:
        return nullcontext(self.connection)


def expire() -> None:
    time.sleep(SHORT + 0.05)


def test_raising_the_budget_adds_slots_and_lowering_it_removes_none(slots: Slots, engine: Engine) -> None:
    assert slots.open_slots(3) == 4
    slots.finish(claimed(slots), "completed")
    before = rows(engine)
    assert slots.open_slots(3) == 0
    assert slots.open_slots(1) == 0
    assert rows(engine) == before
    assert slots.open_slots(5) == 2
    assert slots.counts() == SlotCounts(open=5, leased=0, done=1)
    assert rows(engine)[:4] == before


def test_eight_threads_claim_each_of_fifty_slots_once(slots: Slots) -> None:
    slots.open_slots(49)
    ready = threading.Barrier(8)

    def work(owner: str) -> list[Lease]:
        ready.wait()
        mine = []
        while lease := slots.claim(owner, LONG):
            mine.append(lease)
        return mine

    with ThreadPoolExecutor(8) as pool:
        leases = [lease for mine in pool.map(work, "abcdefgh") for lease in mine]
    assert sorted(lease.slot for lease in leases) == list(range(50))
    assert {lease.attempt for lease in leases} == {1}
    assert slots.counts() == SlotCounts(open=0, leased=50, done=0)


def test_an_expired_lease_is_reclaimed_once_with_its_trial(slots: Slots) -> None:
    slots.open_slots(0)
    first = claimed(slots, "early", SHORT)
    assert first == Lease("flowers", slot=0, attempt=1, owner="early", trial_id=None)
    assert slots.attach(first, 41, "g")
    assert slots.claim("other", LONG) is None
    expire()
    with ThreadPoolExecutor(4) as pool:
        claims = list(pool.map(lambda owner: slots.claim(owner, LONG), "wxyz"))
    (second,) = [lease for lease in claims if lease is not None]
    assert (second.slot, second.attempt, second.trial_id) == (0, 2, 41)


def test_a_late_owner_changes_nothing(slots: Slots, engine: Engine) -> None:
    slots.open_slots(0)
    late = claimed(slots, "a", SHORT)
    expire()
    # The same name, as of a restarted worker: the attempt alone distinguishes the leases.
    current = claimed(slots, "a")
    before = rows(engine)
    assert not slots.renew(late, LONG)
    assert not slots.attach(late, 7, "g")
    assert not slots.record_crashes(late, 1)
    assert not slots.finish(late, "completed")
    assert not slots.release(late)
    assert rows(engine) == before
    assert slots.finish(current, "completed")
    after = rows(engine)
    assert not slots.finish(late, "completed")
    assert rows(engine) == after


def test_renewing_prolongs_a_lease(slots: Slots) -> None:
    slots.open_slots(0)
    lease = claimed(slots, lease_seconds=SHORT)
    assert slots.renew(lease, LONG)
    expire()
    assert slots.claim("b", LONG) is None


def test_an_expired_lease_without_a_new_owner_can_be_renewed(slots: Slots) -> None:
    slots.open_slots(0)
    lease = claimed(slots, lease_seconds=SHORT)
    expire()
    assert slots.counts() == SlotCounts(open=1, leased=0, done=0)
    assert slots.renew(lease, LONG)
    assert slots.claim("b", LONG) is None


def test_a_slot_locked_by_another_transaction_is_passed_over_not_waited_for(slots: Slots, engine: Engine) -> None:
    slots.open_slots(1)
    with engine.begin() as blocker:
        blocker.execute(text("SELECT * FROM nas_slots WHERE slot = 0 FOR UPDATE"))
        began = time.monotonic()
        assert claimed(slots).slot == 1
        assert slots.claim("b", LONG) is None
        assert time.monotonic() - began < 5
    assert claimed(slots, "b").slot == 0


def test_times_are_of_the_clock_and_not_of_the_transaction(slots: Slots, engine: Engine) -> None:
    slots.open_slots(0)
    with engine.begin() as connection:
        connection.execute(text("SELECT now()"))
        time.sleep(0.4)
        # The same statements inside a transaction that is older than the lease.
        inside = Slots(engine, "flowers")
        inside._engine = _Borrowed(connection)  # type: ignore[assignment]
        claimed(inside, "a", 0.3)
        assert inside.counts() == SlotCounts(open=0, leased=1, done=0)
        assert 0.1 < inside.owners()[0].seconds_left < 0.3


def test_a_released_slot_is_free_at_once_with_its_trial(slots: Slots) -> None:
    slots.open_slots(0)
    lease = claimed(slots)
    slots.attach(lease, 5, "g")
    assert slots.record_crashes(lease, 2)
    assert slots.release(lease)
    assert not slots.renew(lease, LONG), "the lease ends with its release, before anyone else claims the slot"
    again = claimed(slots, "b")
    assert (again.trial_id, again.crashes) == (5, 2)


def test_the_baseline_alone_can_be_claimed(slots: Slots) -> None:
    slots.open_slots(2)
    lease = slots.claim("a", LONG, baseline_only=True)
    assert lease is not None
    assert lease.slot == BASELINE_SLOT
    assert slots.claim("b", LONG, baseline_only=True) is None
    wait = slots.seconds_until_claimable(baseline_only=True)
    assert wait is not None
    assert 0 < wait <= LONG
    assert slots.finish(lease, "completed")
    assert slots.seconds_until_claimable(baseline_only=True) is None
    assert slots.seconds_until_claimable() == 0
    assert claimed(slots, "b").slot == 1


def test_a_finished_slot_is_never_claimed_and_never_changes(slots: Slots, engine: Engine) -> None:
    slots.open_slots(0)
    lease = claimed(slots, lease_seconds=SHORT)
    assert slots.finish(lease, "completed")
    before = rows(engine)
    expire()
    assert slots.claim("b", LONG) is None
    assert slots.finish(lease, "completed"), "repeated since the first answer was lost"
    assert not slots.finish(lease, "failed")
    assert not slots.renew(lease, LONG)
    assert not slots.release(lease)
    assert rows(engine) == before
    assert slots.seconds_until_claimable() is None


def test_the_counts_and_owners_of_a_study(slots: Slots, engine: Engine) -> None:
    Slots(engine, "other").open_slots(9)
    assert slots.counts() == SlotCounts(open=0, leased=0, done=0)
    slots.open_slots(3)
    assert not slots.baseline_done()
    assert slots.seconds_until_claimable() == 0.0
    done, expired, held = claimed(slots), claimed(slots, "slow", SHORT), claimed(slots, "b", LONG)
    for trial_id, lease in enumerate((done, expired, held), start=10):
        slots.attach(lease, trial_id, "g")
    slots.finish(done, "completed")
    expire()
    assert slots.counts() == SlotCounts(open=2, leased=1, done=1)
    assert slots.baseline_done()
    assert slots.owned_trial_ids() == {11, 12}
    (owner,) = slots.owners()
    assert owner == Owner("b", slot=2, trial_id=12, seconds_left=owner.seconds_left, progress=None)
    assert LONG - 5 < owner.seconds_left < LONG
    claimed(slots, "c", LONG)
    claimed(slots, "c", LONG / 2)
    wait = slots.seconds_until_claimable()
    assert wait is not None
    assert LONG / 2 - 5 < wait < LONG / 2


def test_a_missing_table_is_explained_at_once(engine: Engine) -> None:
    with pytest.raises(DatabaseError, match='"nas_slots" does not exist'):
        Slots(engine, "flowers").claim("a", LONG)


def test_processes_create_the_table_at_once(database_url: str) -> None:
    program = (
        "import sys; from nas.database import create_engine\n"
        "from nas.search.storage.sql_tables import create_missing_tables\n"
        "engine = create_engine(sys.argv[1]); engine.connect().close(); print('ready', flush=True); input()\n"
        "create_missing_tables(engine)"
    )
    command = [sys.executable, "-c", program, database_url]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 0, errors


def test_claims_ride_out_a_restart_of_the_database(slots: Slots, server_home: Path) -> None:
    slots.open_slots(39)
    halfway, restarted = threading.Event(), threading.Event()

    def work(owner: str) -> list[int]:
        done = []
        while lease := slots.claim(owner, LONG):
            if lease.slot == 15:
                halfway.set()
            if lease.slot >= 15:
                restarted.wait(0.02)
            if slots.finish(lease, "completed"):
                done.append(lease.slot)
        return done

    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(work, owner) for owner in "abcd"]
        assert halfway.wait(20)
        assert database.stop(server_home)
        time.sleep(0.3)
        assert not any(future.done() for future in futures)
        database.start(server_home)
        restarted.set()
        finished = sorted(slot for future in futures for slot in future.result(30))
    # A claim whose reply was lost in the restart stays leased until it expires; every other slot is done once.
    counts = slots.counts()
    assert len(finished) == len(set(finished)) == counts.done
    assert counts.done + counts.leased == 40
    assert counts.leased <= 4


def test_a_lasting_outage_ends_in_one_line(slots: Slots, engine: Engine, server_home: Path) -> None:
    short_outage_slots = Slots(engine, "flowers", max_outage_seconds=0.3)
    database.stop(server_home)
    try:
        with pytest.raises(DatabaseError, match="has been away for 0 s"):
            short_outage_slots.claim("a", LONG)
    finally:
        database.start(server_home)
    assert short_outage_slots.claim("a", LONG) is None


def test_progress_is_stored_with_a_renewal(slots: Slots) -> None:
    slots.open_slots(1)
    lease, other = claimed(slots), claimed(slots, "b")
    assert [owner.progress for owner in slots.owners()] == [None, None]
    assert slots.renew(lease, LONG, progress="epoch 1/9, batch 3/40")
    assert [owner.progress for owner in slots.owners()] == ["epoch 1/9, batch 3/40", None]
    assert slots.renew(other, LONG, progress="finding neighbours: 40%")
    assert slots.renew(lease, LONG, progress="epoch 1/9, batch 7/40")
    assert [owner.progress for owner in slots.owners()] == ["epoch 1/9, batch 7/40", "finding neighbours: 40%"]
    # As before a result is recorded.
    assert slots.renew(lease, LONG)
    assert slots.owners()[0].progress == "epoch 1/9, batch 7/40"


def test_a_new_owner_has_no_progress_yet(slots: Slots) -> None:
    slots.open_slots(0)
    late = claimed(slots, "a", SHORT)
    slots.renew(late, SHORT, progress="epoch 8/9")
    expire()
    assert slots.owners() == []
    current = claimed(slots, "b")
    assert slots.owners()[0].progress is None
    assert not slots.renew(late, LONG, progress="epoch 9/9")
    assert slots.owners()[0].progress is None
    slots.renew(current, LONG, progress="epoch 1/9")
    slots.release(current)
    assert slots.owners() == []
    claimed(slots, "c")
    assert slots.owners()[0].progress is None


@pytest.fixture
def slots_without_progress(slots: Slots, engine: Engine) -> Slots:
    """Slots of a study created by version 0.1.0, with one lease."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE nas_slots DROP COLUMN progress"))
    old = Slots(engine, "flowers")
    old.open_slots(2)
    return old


def columns(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        query = "SELECT column_name FROM information_schema.columns WHERE table_name = 'nas_slots'"
        return set(connection.scalars(text(query)))


def test_a_table_without_the_column_of_progress_works(slots_without_progress: Slots, engine: Engine) -> None:
    slots = slots_without_progress
    lease = claimed(slots)
    assert slots.renew(lease, LONG, progress="epoch 1/9")
    assert [(owner.name, owner.progress) for owner in slots.owners()] == [("a", None)]
    assert slots.attach(lease, 41, "g")
    assert slots.record_crashes(lease, 1)
    assert slots.release(lease)
    assert claimed(slots, "b").trial_id == 41
    assert slots.counts() == SlotCounts(open=2, leased=1, done=0)
    assert "progress" not in columns(engine)


def test_the_missing_column_is_added_and_the_leases_stay(slots_without_progress: Slots, engine: Engine) -> None:
    slots = slots_without_progress
    lease = claimed(slots)
    before = rows(engine)
    for _ in range(2):
        create_missing_tables(engine)
    assert "progress" in columns(engine)
    assert [row[:-1] for row in rows(engine)] == before
    # A worker that began before goes on, and shows its progress too.
    assert slots.renew(lease, LONG, progress="epoch 1/9")
    assert slots.owners()[0].progress == "epoch 1/9"
    assert Slots(engine, "flowers").owners()[0].progress == "epoch 1/9"


def test_a_user_who_may_not_change_the_table_goes_on_without_the_column(
    slots_without_progress: Slots, engine: Engine, database_url: str
) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS worker_without_rights"))
        connection.execute(text("CREATE ROLE worker_without_rights"))
        connection.execute(text("GRANT ALL ON ALL TABLES IN SCHEMA public TO worker_without_rights"))
    limited = database.create_engine(database_url)

    @event.listens_for(limited, "connect")
    def become(connection: Any, record: object) -> None:
        connection.execute("SET ROLE worker_without_rights")
        connection.commit()

    try:
        create_missing_tables(limited)
        assert "progress" not in columns(engine)
        lease = claimed(Slots(limited, "flowers"))
        assert Slots(limited, "flowers").renew(lease, LONG, progress="epoch 1/9")
    finally:
        limited.dispose()
        with engine.begin() as connection:
            connection.execute(text("DROP OWNED BY worker_without_rights"))
            connection.execute(text("DROP ROLE worker_without_rights"))


def test_processes_add_the_column_at_once(slots_without_progress: Slots, engine: Engine) -> None:
    ready = threading.Barrier(4)

    def create() -> None:
        ready.wait()
        create_missing_tables(engine)

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(create) for _ in range(4)]:
            future.result(30)
    assert "progress" in columns(engine)


def test_a_trial_that_was_given_back_or_lost_is_interrupted_for_good(slots: Slots, engine: Engine) -> None:
    slots.open_slots(3)
    leases = [claimed(slots, name) for name in "abcd"]
    for lease in leases:
        assert slots.attach(lease, 100 + lease.slot, "key")
    slots.finish(leases[0], "completed")
    assert slots.interrupted_trial_ids() == set()
    slots.release(leases[1])
    slots.renew(leases[2], SHORT)
    expire()
    assert slots.interrupted_trial_ids() == {101, 102}
    again = claimed(slots, "e")
    assert again.trial_id == 101
    slots.finish(again, "completed")
    assert slots.interrupted_trial_ids() == {101, 102}
    assert Slots(engine, "another study").interrupted_trial_ids() == set()


class TestSharedWeights:
    """Slots of elastic trainings and slices, beside those of the trials."""

    def test_each_phase_waits_for_the_one_before(self, slots: Slots) -> None:
        assert slots.open_slots(4, baseline=False, elastic=2, inherited=2) == 9
        order, held = [], []
        while (lease := slots.claim("a", LONG, num_preliminary=2)) is not None or held:
            if lease is None:
                # Nothing else may start before these are done.
                for one in held:
                    assert slots.finish(one, "completed")
                order.append([one.slot for one in held])
                held = []
                continue
            held.append(lease)
        assert order == [[1, 2], [-1, -2], [FIRST_INHERITED_SLOT, FIRST_INHERITED_SLOT + 1], [3, 4]]

    def test_the_baseline_neither_waits_nor_is_waited_for(self, slots: Slots) -> None:
        slots.open_slots(2, elastic=1, inherited=1)
        first = slots.claim("a", LONG, num_preliminary=1)
        second = slots.claim("b", LONG, num_preliminary=1)
        assert first is not None
        assert second is not None
        assert (first.slot, second.slot) == (BASELINE_SLOT, 1)
        slots.finish(second, "completed")
        third = slots.claim("b", LONG, num_preliminary=1)
        assert third is not None
        assert third.slot == -1

    def test_they_are_counted_by_themselves(self, slots: Slots) -> None:
        slots.open_slots(2, baseline=False, elastic=1, inherited=3)
        assert slots.counts() == SlotCounts(open=2, leased=0, done=1)
        for _ in range(2):
            lease = slots.claim("a", LONG, num_preliminary=2)
            assert lease is not None
            slots.finish(lease, "completed")
        elastic = slots.claim("a", LONG, num_preliminary=2)
        assert elastic is not None
        slots.finish(elastic, "elastic")
        assert slots.shared_counts() == SharedCounts(elastic_done=1, elastic=1, inherited_done=0, inherited=3)
        assert slots.counts() == SlotCounts(open=0, leased=0, done=3)
