"""Slot leases: a study's budget as a table of slots, one trial each, leased to one worker at a time.

    open and free  --claim-->  open and leased  --finish-->  done
          ^                      |        |
          '------- release ------'        '--- lease expires: claimable again, with its trial

Each claim raises the slot's `attempt`, the fencing token. A late update of a worker that was slow, disconnected or
presumed lost names an earlier attempt and has no effect.

Every operation is one repeatable statement that commits by itself: a lost connection leaves it either done or not.
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
    not_,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from nas.search.storage.outage_retry import DEFAULT_MAX_OUTAGE_SECONDS, retry_through_outage
from nas.search.storage.slot_conditions import (
    BASELINE_SLOT,
    FIRST_INHERITED_SLOT,
    FIRST_OTHER_BASELINE_SLOT,
    is_baseline_slot,
    is_claimable,
    is_leased,
    is_open,
    phase_of,
    time_after,
)
from nas.search.storage.slot_counts import Owner, SharedCounts, SlotCounts
from nas.search.storage.sql_tables import has_progress_column
from nas.search.storage.sql_tables import slots as _slots

_REUSABLE_REASONS = ("completed", "reused", "diverged", "stopped")

Result = TypeVar("Result")


@dataclass(frozen=True)
class Lease:
    """Exclusive right to work on a slot until it expires and another owner claims it.

    Attributes:
        trial_id: Optuna's identifier of an earlier attempt's trial to resume; None if there is none.
        crashes: Number of trainer crashes of that trial.
    """

    study: str
    slot: int
    attempt: int
    owner: str
    trial_id: int | None
    crashes: int = 0


class Slots:
    """Slots of one study. Safe to share between threads.

    Every method is retried through an outage of the database and raises DatabaseError when it lasts too long.

    Args:
        study: The study's name.
        max_outage_seconds: Longest outage of the database.
    """

    def __init__(self, engine: Engine, study: str, *, max_outage_seconds: float = DEFAULT_MAX_OUTAGE_SECONDS) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._url = engine.url.render_as_string(hide_password=False)
        self._study = study
        self._max_outage_seconds = max_outage_seconds
        self._progress_column = False

    def open_slots(
        self, count: int, *, baseline: bool = True, elastic: int = 0, inherited: int = 0, other_baselines: int = 0
    ) -> int:
        """Add the missing slots among the baseline's and those of `count` trials; return their number.

        A budget only grows: a smaller count removes no slot.

        Args:
            baseline: True if the study trains a baseline; its slot is created as done otherwise.
            elastic: Number of elastic trainings.
            inherited: Number of slices that are scored with shared weights.
            other_baselines: Number of baselines that are not the reference.
        """
        further = ((FIRST_INHERITED_SLOT, inherited), (FIRST_OTHER_BASELINE_SLOT, other_baselines))
        return self._add(-elastic, count, baseline=baseline) + sum(
            self._add(first, first + number - 1) for first, number in further if number
        )

    def _add(self, first: int, last: int, *, baseline: bool = True) -> int:
        number = func.generate_series(first, last).column_valued("number")
        is_open = or_(number != BASELINE_SLOT, literal(baseline))
        rows = select(literal(self._study), number, case((is_open, "open"), else_="done"))
        missing = insert(_slots).from_select(["study", "slot", "state"], rows).on_conflict_do_nothing()
        statement = missing.returning(_slots.c.slot)
        return len(self._run(lambda connection: connection.execute(statement).all()))

    def claim(
        self, owner: str, lease_seconds: float, *, baseline_only: bool = False, num_preliminary: int = 0
    ) -> Lease | None:
        """Claim the first slot that is free or whose lease expired; None if there is none now.

        When the connection breaks after the commit, the retry claims another slot, and the first remains unused until
        its lease expires: a delay of one lease, not a lost slot.

        Args:
            owner: Identifier unique among concurrent claims, such as host, process and slot of it.
            baseline_only: Claim no slot but the baselines'.
            num_preliminary: Number of trials before the elastic trainings of a study that has some. No slot is claimed
                before all those of the phases before its own are done, which are preliminary trials, elastic trainings,
                scores of slices, and trials.
        """
        cleared = {"progress": None} if self._has_progress() else {}
        # Rows locked by concurrent claims are skipped.
        claimable = (
            select(_slots.c.slot)
            .where(self._in_study(), is_claimable(), self._is_due(num_preliminary, baseline_only=baseline_only))
            .order_by(_slots.c.slot != BASELINE_SLOT, not_(is_baseline_slot(_slots)), func.abs(_slots.c.slot))
            .limit(1)
            .with_for_update(skip_locked=True)
            .cte("claimable")
        )
        statement = (
            update(_slots)
            .where(self._in_study(), _slots.c.slot == claimable.c.slot)
            .values(owner=owner, until=time_after(lease_seconds), attempt=_slots.c.attempt + 1, **cleared)
            .returning(_slots.c.slot, _slots.c.attempt, _slots.c.trial_id, _slots.c.crashes)
        )
        row = self._run(lambda connection: connection.execute(statement).one_or_none())
        return None if row is None else Lease(self._study, row.slot, row.attempt, owner, row.trial_id, row.crashes)

    def attach(self, lease: Lease, trial_id: int, genome_key: str) -> bool:
        """Store the slot's trial, for a later owner to resume; False if the lease is lost."""
        return self._update_leased(lease, is_open(), trial_id=trial_id, genome_key=genome_key)

    def find_duplicate(self, genome_key: str) -> int | None:
        """Return the first trial of a genome that its duplicates can reuse: completed, diverged or stopped.

        Of two trained concurrently, one may have been stopped and the other not; the latter has precedence.
        """
        statement = (
            select(_slots.c.trial_id)
            .where(self._in_study(), _slots.c.genome_key == genome_key, _slots.c.reason.in_(_REUSABLE_REASONS))
            .order_by(_slots.c.reason == "stopped", _slots.c.slot)
            .limit(1)
        )
        return self._run(lambda connection: connection.scalar(statement))

    def record_crashes(self, lease: Lease, crashes: int) -> bool:
        """Store the number of trainer crashes of the slot's trial, for a later owner; False if the lease is lost."""
        return self._update_leased(lease, is_open(), crashes=crashes)

    def renew(self, lease: Lease, lease_seconds: float, *, progress: str | None = None) -> bool:
        """Extend the lease from now on; False if it is lost and the work must be dropped.

        An expired lease is extended as well while the slot is unclaimed.

        Args:
            progress: Progress of the work in one line, stored beside the lease.
        """
        shown = {"progress": progress} if progress is not None and self._has_progress() else {}
        return self._update_leased(lease, is_open(), until=time_after(lease_seconds), **shown)

    def finish(self, lease: Lease, reason: str) -> bool:
        """Mark the slot as done; False if the lease is lost and the result must be dropped.

        Repeating it for the same reason returns True: a retry after a lost reply must not make the worker drop a valid
        result.
        """
        already_finished = and_(_slots.c.state == "done", _slots.c.reason == reason)
        return self._update_leased(lease, or_(is_open(), already_finished), state="done", reason=reason, until=None)

    def release(self, lease: Lease) -> bool:
        """Give the lease up, leaving the trial for the next owner to resume; False if the lease is lost."""
        return self._update_leased(lease, is_open(), owner=None, until=None)

    def counts(self) -> SlotCounts:
        """Return the number of claimable, leased and done slots of the baseline and the trials."""
        statement = select(
            func.count().filter(is_claimable()),
            func.count().filter(is_leased()),
            func.count().filter(_slots.c.state == "done"),
        ).where(self._in_study(), _slots.c.slot.between(BASELINE_SLOT, FIRST_INHERITED_SLOT - 1))
        return SlotCounts(*self._run(lambda connection: connection.execute(statement).one()))

    def shared_counts(self) -> SharedCounts:
        """Return the number of elastic trainings and of scored slices, done and all."""
        is_done, is_elastic = _slots.c.state == "done", _slots.c.slot < BASELINE_SLOT
        is_inherited = _slots.c.slot.between(FIRST_INHERITED_SLOT, FIRST_OTHER_BASELINE_SLOT - 1)
        statement = select(
            func.count().filter(is_elastic, is_done), func.count().filter(is_elastic),
            func.count().filter(is_inherited, is_done), func.count().filter(is_inherited),
        ).where(self._in_study())  # fmt: skip
        return SharedCounts(*self._run(lambda connection: connection.execute(statement).one()))

    def reopen(self, slot: int) -> None:
        """Open a done slot again whose trial has no result."""
        statement = (
            update(_slots)
            .where(self._in_study(), _slots.c.slot == slot, _slots.c.state == "done")
            .values(state="open", owner=None, until=None, trial_id=None, crashes=0, reason=None)
        )
        self._run(lambda connection: connection.execute(statement))

    def baseline_done(self, slot: int = BASELINE_SLOT) -> bool:
        """Return True if the slot of the reference, or of another baseline, is done, with a result or without."""
        statement = select(_slots.c.state == "done").where(self._in_study(), _slots.c.slot == slot)
        return bool(self._run(lambda connection: connection.scalar(statement)))

    def owners(self) -> list[Owner]:
        """Return the owners of unexpired leases, ordered by slot."""
        left = func.extract("epoch", _slots.c.until - func.clock_timestamp())
        progress = _slots.c.progress if self._has_progress() else null()
        columns = (_slots.c.owner, _slots.c.slot, _slots.c.trial_id, left, progress)
        statement = select(*columns).where(self._in_study(), is_leased()).order_by(_slots.c.slot)
        rows = self._run(lambda connection: connection.execute(statement).all())
        return [Owner(name, slot, trial_id, float(seconds), text) for name, slot, trial_id, seconds, text in rows]

    def owned_trial_ids(self) -> set[int]:
        """Return the trials of open slots: under a lease, or waiting to be resumed.

        A trial is created before it is attached, so a running trial may be missing for a moment.
        """
        statement = select(_slots.c.trial_id).where(self._in_study(), is_open(), _slots.c.trial_id.is_not(None))
        return set(self._run(lambda connection: connection.scalars(statement).all()))

    def interrupted_trial_ids(self) -> set[int]:
        """Return the trials that were claimed more than once, or that wait for an owner to resume them."""
        interrupted = and_(or_(_slots.c.attempt > 1, is_claimable()), _slots.c.trial_id.is_not(None))
        statement = select(_slots.c.trial_id).where(self._in_study(), interrupted)
        return set(self._run(lambda connection: connection.scalars(statement).all()))

    def seconds_until_claimable(self, *, baseline_only: bool = False) -> float | None:
        """Seconds until a slot is claimable: 0 for now, else when the first lease expires; None if all are done.

        Args:
            baseline_only: Consider no slot but the baselines'.
        """
        wait = func.extract("epoch", func.coalesce(_slots.c.until, func.clock_timestamp()) - func.clock_timestamp())
        wanted = is_baseline_slot(_slots) if baseline_only else true()
        statement = select(func.min(wait)).where(self._in_study(), is_open(), wanted)
        seconds = self._run(lambda connection: connection.scalar(statement))
        return None if seconds is None else max(0.0, float(seconds))

    def _is_due(self, num_preliminary: int, *, baseline_only: bool) -> ColumnElement[bool]:
        """Condition of the slots that may start: the baselines', and those of the first phase that is not done."""
        is_baseline = is_baseline_slot(_slots)
        if baseline_only:
            return is_baseline
        others = _slots.alias("others")
        phase = select(func.min(phase_of(others, num_preliminary))).where(
            others.c.study == self._study, others.c.state == "open", not_(is_baseline_slot(others))
        )
        return or_(is_baseline, phase_of(_slots, num_preliminary) == phase.scalar_subquery())

    def _has_progress(self) -> bool:
        """Return True if the table has the column of progress, which studies of version 0.1.0 may lack."""
        if not self._progress_column:
            self._progress_column = self._run(lambda connection: has_progress_column(connection))
        return self._progress_column

    def _in_study(self) -> ColumnElement[bool]:
        return _slots.c.study == self._study

    def _update_leased(self, lease: Lease, condition: ColumnElement[bool], **values: Any) -> bool:
        """Update a slot under its lease; the owner is checked too, since a released slot keeps its attempt."""
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

        return retry_through_outage(call, url=self._url, max_outage_seconds=self._max_outage_seconds)
