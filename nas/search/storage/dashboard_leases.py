"""Leases for writing a study's dashboard report: one writer at a time, at most once in an interval.

    idle  --claim: the last one is old enough, or this is the final one-->  being written  --finish-->  idle
                                                                                  |
                       lost writer: claimable again after the interval  <---------'

`until` is both the end of the interval and the fencing token: the database's clock in microseconds. A writer that
finishes with another token has been overtaken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Engine, and_, case, false, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from nas.search.storage.sql_tables import reports


@dataclass(frozen=True)
class ReportLease:
    """Exclusive right to write a study's report."""

    study: str
    until: datetime


class ReportLeases:
    """Report leases of all studies. Every method is one statement that commits by itself.

    No call is retried through an outage: a report that is not written now is written the next time.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    def reported_state(self, study: str) -> str | None:
        """Return the study state that the report shows; None without a complete report."""
        with self._engine.connect() as connection:
            return connection.scalar(select(reports.c.shown).where(reports.c.study == study))

    def claim(
        self, study: str, state: str, interval_seconds: float, *, last: ReportLease | None = None, final: bool = False
    ) -> ReportLease | None:
        """Claim the right to write; None while another writes, or wrote this state, or less than an interval ago.

        The last writer can claim an interval earlier than others: it has read the study's trials, and in a long study
        each further process that reads them all spends seconds and much memory on it.

        Args:
            state: Study state that the report will show.
            last: Last lease granted to this process.
            final: Ignore the interval; a writer that is still writing keeps its lease.
        """
        until = func.clock_timestamp() + text("make_interval(secs => :seconds)").bindparams(seconds=interval_seconds)
        lead = text("make_interval(secs => :lead)").bindparams(lead=interval_seconds)
        is_expired: ColumnElement[bool] = reports.c.until < func.clock_timestamp() - lead
        if last is not None:
            is_expired = or_(is_expired, and_(reports.c.until == last.until, reports.c.until < func.clock_timestamp()))
        statement = (
            insert(reports)
            .values(study=study, until=until, writing=True)
            .on_conflict_do_update(
                index_elements=[reports.c.study],
                set_={"until": until, "writing": True},
                # Checked in this statement: with a separate check two processes could both write the new report.
                where=and_(
                    reports.c.shown.is_distinct_from(state),
                    or_(is_expired, reports.c.writing == false()) if final else is_expired,
                ),
            )
            .returning(reports.c.until)
        )
        with self._engine.connect() as connection:
            token = connection.scalar(statement)
        return None if token is None else ReportLease(study, token)

    def finish(self, lease: ReportLease, shown: str) -> None:
        """Record the state that the report shows.

        An overtaken writer may have mixed its parts with another's report. It records that no complete report exists,
        so that the next claim writes one.
        """
        is_mine = reports.c.until == lease.until
        statement = (
            update(reports)
            .where(reports.c.study == lease.study)
            .values(writing=case((is_mine, false()), else_=reports.c.writing), shown=case((is_mine, shown), else_=None))
        )
        with self._engine.connect() as connection:
            connection.execute(statement)
