"""A study's budget as a table of leases: every slot is one trial, worked on by one worker at a time.

    open and free  --claim-->  open and leased  --finish-->  done
          ^                      |        |
          '------- release ------'        '--- lease expires: claimable again, with its trial

Each claim raises the slot's `attempt`. A worker that was slow, cut off or thought dead is fenced off by it: what it
says later names an attempt that is no longer the slot's, and changes nothing.

Every operation is one statement that commits by itself, so a lost connection leaves it either done or not, and all
of them may be repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from nas.search.storage.outage_retry import DEFAULT_PATIENCE_SECONDS, retry_through_outage
from nas.search.storage.sql_tables import slots as _slots

BASELINE_SLOT = 0

_RESULTS_THAT_HOLD = ("completed", "reused", "diverged", "stopped")

Result = TypeVar("Result")


@dataclass(frozen=True)
class Lease:
    """The right to work on a slot, until it expires and somebody else claims it.

    Args:
        trial_id: Optuna's id of the trial that an earlier attempt began, to be taken up again; else None.
        crashes: How often that trial has ended its trainer already.
    """

    study: str
    slot: int
    attempt: int
    owner: str
    trial_id: int | None
    crashes: int = 0


@dataclass(frozen=True)
class SlotCounts:
    """Slots by what can be done with them, the baseline's among them; `open` are free or expired."""

    open: int
    leased: int
    done: int


@dataclass(frozen=True)
class Owner:
    """Who holds a slot's lease now."""

    name: str
    slot: int
    trial_id: int | None
    seconds_left: float


class Slots:
    """The slots of one study. Safe to share between threads.

    Every method waits out an outage of the database and raises DatabaseError when it lasts too long.

    Args:
        study: The study's name.
        patience_seconds: How long an outage may last.
    """

    def __init__(self, engine: Engine, study: str, *, patience_seconds: float = DEFAULT_PATIENCE_SECONDS) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._url = _url(engine)
        self._study = study
        self._patience_seconds = patience_seconds

    def open_slots(self, count: int, *, baseline: bool = True) -> int:
        """Add what is missing of the baseline's slot and `count` trials; how many were added.

        A budget is only ever raised: with a smaller count nothing is removed.

        Args:
            baseline: Whether there is one to be trained; else its slot is done from the beginning.
        """
        number = func.generate_series(BASELINE_SLOT, count).column_valued("number")
        is_open = or_(number != BASELINE_SLOT, literal(baseline))
        rows = select(literal(self._study), number, case((is_open, "open"), else_="done"))
        missing = insert(_slots).from_select(["study", "slot", "state"], rows).on_conflict_do_nothing()
        statement = missing.returning(_slots.c.slot)
        return len(self._run(lambda connection: connection.execute(statement).all()))

    def claim(self, owner: str, lease_seconds: float, *, baseline_only: bool = False) -> Lease | None:
        """Take the first slot that is free or whose lease expired; None when there is none now.

        When the connection breaks after the commit, the repeated call takes another slot and the first stays leased
        to nobody until it expires: a delay of one lease, not a lost slot.

        Args:
            owner: Unique among everything that claims at the same time, such as host, process and slot of it.
            baseline_only: Take no other slot than the baseline's.
        """
        # Rows that other claims are taking are skipped rather than waited for.
        claimable = (
            select(_slots.c.slot)
            .where(self._mine(), _claimable(), _slots.c.slot == BASELINE_SLOT if baseline_only else true())
            .order_by(_slots.c.slot)
            .limit(1)
            .with_for_update(skip_locked=True)
            .cte("claimable")
        )
        statement = (
            update(_slots)
            .where(self._mine(), _slots.c.slot == claimable.c.slot)
            .values(owner=owner, until=_after(lease_seconds), attempt=_slots.c.attempt + 1)
            .returning(_slots.c.slot, _slots.c.attempt, _slots.c.trial_id, _slots.c.crashes)
        )
        row = self._run(lambda connection: connection.execute(statement).one_or_none())
        return None if row is None else Lease(self._study, row.slot, row.attempt, owner, row.trial_id, row.crashes)

    def attach(self, lease: Lease, trial_id: int, genome_key: str) -> bool:
        """Note the trial that works on the slot, for whoever may have to take it up again; False: lease lost."""
        return self._change(lease, _still_open(), trial_id=trial_id, genome_key=genome_key)

    def twin(self, genome_key: str) -> int | None:
        """The first trial of a genome whose end holds for every other one of it: it completed, diverged or was stopped.

        Of two that were trained at the same time one may have been stopped and the other not; then that one's counts.
        """
        statement = (
            select(_slots.c.trial_id)
            .where(self._mine(), _slots.c.genome_key == genome_key, _slots.c.reason.in_(_RESULTS_THAT_HOLD))
            .order_by(_slots.c.reason == "stopped", _slots.c.slot)
            .limit(1)
        )
        return self._run(lambda connection: connection.scalar(statement))

    def note_crashes(self, lease: Lease, crashes: int) -> bool:
        """Note how often the slot's trial has ended its trainer, for whoever takes it up again; False: lease lost."""
        return self._change(lease, _still_open(), crashes=crashes)

    def renew(self, lease: Lease, lease_seconds: float) -> bool:
        """Prolong the lease from now on; False: lease lost, drop the work.

        A lease that expired is prolonged all the same while nobody has claimed the slot.
        """
        return self._change(lease, _still_open(), until=_after(lease_seconds))

    def finish(self, lease: Lease, reason: str) -> bool:
        """Close the slot for good; False: lease lost, drop the result.

        Closing it again for the same reason is True: a call that is repeated because its answer was lost must not
        make the worker drop a result that counts.
        """
        mine_already = and_(_slots.c.state == "done", _slots.c.reason == reason)
        return self._change(lease, or_(_still_open(), mine_already), state="done", reason=reason, until=None)

    def release(self, lease: Lease) -> bool:
        """Give the slot back at once, with its trial, which the next owner takes up; False: lease lost already."""
        return self._change(lease, _still_open(), owner=None, until=None)

    def remaining(self) -> SlotCounts:
        """How many slots are claimable, leased and done."""
        statement = select(
            func.count().filter(_claimable()),
            func.count().filter(_leased()),
            func.count().filter(_slots.c.state == "done"),
        ).where(self._mine())
        return SlotCounts(*self._run(lambda connection: connection.execute(statement).one()))

    def reopen(self, slot: int) -> None:
        """Offer a slot again whose trial gave no result."""
        statement = (
            update(_slots)
            .where(self._mine(), _slots.c.slot == slot, _slots.c.state == "done")
            .values(state="open", owner=None, until=None, trial_id=None, crashes=0, reason=None)
        )
        self._run(lambda connection: connection.execute(statement))

    def baseline_done(self) -> bool:
        """Whether the baseline's slot is closed, with a result or without."""
        statement = select(_slots.c.state == "done").where(self._mine(), _slots.c.slot == BASELINE_SLOT)
        return bool(self._run(lambda connection: connection.scalar(statement)))

    def owners(self) -> list[Owner]:
        """Who works on what, in the order of slots; expired leases are not work."""
        left = func.extract("epoch", _slots.c.until - func.clock_timestamp())
        columns = (_slots.c.owner, _slots.c.slot, _slots.c.trial_id, left)
        statement = select(*columns).where(self._mine(), _leased()).order_by(_slots.c.slot)
        rows = self._run(lambda connection: connection.execute(statement).all())
        return [Owner(name, slot, trial_id, float(seconds)) for name, slot, trial_id, seconds in rows]

    def owned_trial_ids(self) -> set[int]:
        """Trials that a slot still counts on: under a lease, or waiting to be taken up again.

        A trial is asked for before it is attached, so a running trial may be missing here for a moment.
        """
        statement = select(_slots.c.trial_id).where(self._mine(), _still_open(), _slots.c.trial_id.is_not(None))
        return set(self._run(lambda connection: connection.scalars(statement).all()))

    def seconds_until_claimable(self, *, baseline_only: bool = False) -> float | None:
        """0 when a slot can be claimed now, else until the first lease expires; None when all slots are done.

        Args:
            baseline_only: Look at no other slot than the baseline's.
        """
        wait = func.extract("epoch", func.coalesce(_slots.c.until, func.clock_timestamp()) - func.clock_timestamp())
        wanted = _slots.c.slot == BASELINE_SLOT if baseline_only else true()
        statement = select(func.min(wait)).where(self._mine(), _still_open(), wanted)
        seconds = self._run(lambda connection: connection.scalar(statement))
        return None if seconds is None else max(0.0, float(seconds))

    def _mine(self) -> ColumnElement[bool]:
        return _slots.c.study == self._study

    def _change(self, lease: Lease, condition: ColumnElement[bool], **values: Any) -> bool:
        """The owner is checked with the attempt, since a released slot keeps its attempt until the next claim."""
        statement = (
            update(_slots)
            .where(_slots.c.study == lease.study, _slots.c.slot == lease.slot)
            .where(_slots.c.attempt == lease.attempt, _slots.c.owner == lease.owner, condition)
            .values(**values)
        )
        return self._run(lambda connection: connection.execute(statement).rowcount) == 1

    def _run(self, operation: Callable[[Connection], Result]) -> Result:
        def call() -> Result:
            with self._engine.connect() as connection:
                return operation(connection)

        return retry_through_outage(call, url=self._url, patience_seconds=self._patience_seconds)


def _still_open() -> ColumnElement[bool]:
    return _slots.c.state == "open"


# The database's clock, since workers' clocks differ; clock_timestamp() and not now(), which is the start of the
# transaction: a claim would count from before its search, and inside a caller's longer transaction a lease would be
# granted, or another's judged, by a time long past. A statement that waits for a row's lock still counts from before
# the wait; that lease ends early, which `attempt` makes harmless.


def _claimable() -> ColumnElement[bool]:
    return and_(_still_open(), or_(_slots.c.until.is_(None), _slots.c.until < func.clock_timestamp()))


def _leased() -> ColumnElement[bool]:
    return and_(_still_open(), _slots.c.until >= func.clock_timestamp())


def _after(seconds: float) -> ColumnElement[Any]:
    return func.clock_timestamp() + text("make_interval(secs => :seconds)").bindparams(seconds=seconds)


def _url(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)
