"""SQL tables of slots, reports and rung scores, beside Optuna's own, and their creation."""

from __future__ import annotations

import contextlib

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    DateTime,
    Double,
    Engine,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import NoSuchTableError, ProgrammingError

from nas.search.storage.outage_retry import DEFAULT_MAX_OUTAGE_SECONDS, retry_through_outage

_metadata = MetaData()
# Key of an advisory lock, unique in the database; the bytes of "nas_slot".
_CREATION_LOCK = int.from_bytes(b"nas_slot", "big")

slots = Table(
    "nas_slots",
    _metadata,
    Column("study", Text, primary_key=True),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("trial_id", Integer),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("crashes", Integer, nullable=False, server_default="0"),
    Column("genome_key", Text),
    Column("owner", Text),
    Column("until", DateTime(timezone=True)),
    Column("state", Text, nullable=False, server_default="open"),
    Column("reason", Text),
    Column("progress", Text),
    Index("nas_slots_open", "study", "slot", postgresql_where=text("state = 'open'")),
    Index("nas_slots_genomes", "study", "genome_key"),
)

reports = Table(
    "nas_reports",
    _metadata,
    Column("study", Text, primary_key=True),
    Column("until", DateTime(timezone=True), nullable=False),
    Column("writing", Boolean, nullable=False),
    Column("shown", Text),
)

rungs = Table(
    "nas_rungs",
    _metadata,
    Column("study", Text, primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("trial_id", Integer, primary_key=True, autoincrement=False),
    Column("grouping", Text, nullable=False),
    Column("macro_f1", Double, nullable=False),
    Column("log10_params", Double, nullable=False),
)


def create_missing_tables(engine: Engine, *, max_outage_seconds: float = DEFAULT_MAX_OUTAGE_SECONDS) -> None:
    """Create the missing tables and columns.

    Raises:
        DatabaseError: The outage lasted too long, or the database user may not create tables.
    """

    def create() -> None:
        with engine.begin() as connection:
            # Without the lock two concurrent creations can fail, with IF NOT EXISTS too.
            connection.execute(select(func.pg_advisory_xact_lock(_CREATION_LOCK)))
            _metadata.create_all(connection)
            if not has_progress_column(connection):
                # Only the owner of the table may add a column; without it, studies show no progress.
                with contextlib.suppress(ProgrammingError), connection.begin_nested():
                    connection.execute(text("ALTER TABLE nas_slots ADD COLUMN IF NOT EXISTS progress TEXT"))

    url = engine.url.render_as_string(hide_password=False)
    retry_through_outage(create, url=url, max_outage_seconds=max_outage_seconds)


def has_progress_column(connection: Connection) -> bool:
    """Return True if the table of slots has the column of progress, which was added after version 0.1.0."""
    try:
        columns = inspect(connection).get_columns("nas_slots")
    except NoSuchTableError:
        return False
    return any(column["name"] == "progress" for column in columns)
