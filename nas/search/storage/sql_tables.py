"""The program's own tables beside optuna's, which are created together."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Double,
    Engine,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    func,
    select,
    text,
)

from nas.search.storage.outage_retry import DEFAULT_PATIENCE_SECONDS, retry_through_outage

_metadata = MetaData()
# Any number that nothing else in the database locks; spells "nas_slot".
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


def create_missing_tables(engine: Engine, *, patience_seconds: float = DEFAULT_PATIENCE_SECONDS) -> None:
    """Make the tables that are not there.

    Raises:
        DatabaseError: The database stayed away, or this user may not create tables.
    """

    def create() -> None:
        with engine.begin() as connection:
            # Two sessions that both see no table would both create it, also with IF NOT EXISTS, and one would fail.
            connection.execute(select(func.pg_advisory_xact_lock(_CREATION_LOCK)))
            _metadata.create_all(connection)

    url = engine.url.render_as_string(hide_password=False)
    retry_through_outage(create, url=url, patience_seconds=patience_seconds)
