"""Engines that notice a database that went away, and the check that one answers at all."""

from __future__ import annotations

from typing import Any

import sqlalchemy
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from nas.database.database_urls import masked, without_secrets
from nas.errors import DatabaseError

_CONNECT_TIMEOUT_SECONDS = 10

# Without these a peer that vanished without a word (a pulled cable, a paused machine, a dropped NAT entry) holds a
# call for about two hours. libpq ignores them on Unix sockets.
_LIVENESS = {
    "keepalives": 1,
    "keepalives_idle": 30,  # seconds
    "keepalives_interval": 10,  # seconds
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}


def create_engine(url: str, *, pool_size: int = 2, max_overflow: int = 3) -> Engine:
    """An engine whose calls fail within a minute when the database is gone, and recover when it is back.

    Args:
        url: Normalised; connection options in its query win over the defaults here.
        pool_size: Connections kept open. Small, since every worker of a study holds its own pool and a
            server allows about a hundred.
        max_overflow: Connections beyond that, closed after use.
    """
    return sqlalchemy.create_engine(url, **engine_options(url, pool_size=pool_size, max_overflow=max_overflow))


def engine_options(url: str, *, pool_size: int = 2, max_overflow: int = 3) -> dict[str, Any]:
    """What `create_engine` passes to SQLAlchemy, for a library that makes an engine of its own."""
    options: dict[str, int | str | None] = {
        "connect_timeout": _CONNECT_TIMEOUT_SECONDS,
        "application_name": "nas",
        # A pooler such as PgBouncer may run a prepared statement on a connection that has never seen it.
        "prepare_threshold": None,
        **_LIVENESS,
    }
    given = make_url(url).query
    return {
        "pool_pre_ping": True,
        "pool_size": pool_size,
        "max_overflow": max_overflow,
        "hide_parameters": True,
        "connect_args": {key: value for key, value in options.items() if key not in given},
    }


def check_reachable(url: str) -> None:
    """Connect once.

    Raises:
        DatabaseError: The server does not answer, or refuses this user or database.
    """
    try:
        engine = create_engine(url, pool_size=1, max_overflow=0)
        try:
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        finally:
            engine.dispose()
    except SQLAlchemyError as error:
        reason = without_secrets(str(getattr(error, "orig", None) or error), url)
        raise DatabaseError(
            f"cannot use the database {masked(url)}: {reason}; check that it runs and that NAS_STORAGE names "
            "the right host, user, password and database"
        ) from error
