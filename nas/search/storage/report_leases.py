"""Who may rewrite a study's figures and note now: one writer at a time, and not too often.

    idle  --claim: the last one is old enough, or this is the final one-->  being written  --finish-->  idle
                                                                                  |
                       a writer that died: claimable again after the interval  <--'

`until` is both the end of the interval and the claim's token: it is the database's clock in microseconds, so whoever
finishes with another one has been overtaken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Engine, and_, case, false, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from nas.search.storage.sql_tables import reports


@dataclass(frozen=True)
class ReportLease:
    """The right to rewrite a study's report."""

    study: str
    until: datetime


class ReportLeases:
    """The claims of all studies. Every method is one statement that commits by itself.

    Nothing is repeated through an outage: a report that is not written now is written the next time.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    def shown(self, study: str) -> str | None:
        """The state that the report shows, as its writer named it; None if there is no whole report."""
        with self._engine.connect() as connection:
            return connection.scalar(select(reports.c.shown).where(reports.c.study == study))

    def claim(
        self, study: str, state: str, interval_seconds: float, *, last: ReportLease | None = None, final: bool = False
    ) -> ReportLease | None:
        """Take the right to write; None while another writes, or wrote this state, or less than an interval ago.

        Whoever wrote last has an interval's lead over the others: it has read the study's trials, and in a long
        study each further process that reads them all spends seconds and much memory on it.

        Args:
            state: Of the study, which the report is to show.
            last: What this process was granted last.
            final: Write however short ago the last one was; another who is writing is not disturbed.
        """
        until = func.clock_timestamp() + text("make_interval(secs => :seconds)").bindparams(seconds=interval_seconds)
        lead = text("make_interval(secs => :lead)").bindparams(lead=interval_seconds)
        is_over: ColumnElement[bool] = reports.c.until < func.clock_timestamp() - lead
        if last is not None:
            is_over = or_(is_over, and_(reports.c.until == last.until, reports.c.until < func.clock_timestamp()))
        statement = (
            insert(reports)
            .values(study=study, until=until, writing=True)
            .on_conflict_do_update(
                index_elements=[reports.c.study],
                set_={"until": until, "writing": True},
                # Asked here and not before, or of two who saw an old report both would write the new one.
                where=and_(
                    reports.c.shown.is_distinct_from(state),
                    or_(is_over, reports.c.writing == false()) if final else is_over,
                ),
            )
            .returning(reports.c.until)
        )
        with self._engine.connect() as connection:
            token = connection.scalar(statement)
        return None if token is None else ReportLease(study, token)

    def finish(self, claim: ReportLease, shown: str) -> None:
        """Note what the report shows. A writer that was overtaken may have mixed its parts with the other's, so it
        notes that there is no whole one, for the next to write it anew.
        """
        is_mine = reports.c.until == claim.until
        statement = (
            update(reports)
            .where(reports.c.study == claim.study)
            .values(writing=case((is_mine, false()), else_=reports.c.writing), shown=case((is_mine, shown), else_=None))
        )
        with self._engine.connect() as connection:
            connection.execute(statement)
