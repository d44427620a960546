"""SQLAlchemy engines with connection timeouts, and a connectivity check."""

from __future__ import annotations

from typing import Any

import sqlalchemy
from sqlalchemy import Engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import SQLAlchemyError

from nas.database.database_urls import masked_url, redact_secrets
from nas.errors import DatabaseError

_CONNECT_TIMEOUT_SECONDS = 10
_READ_ONLY = "25006"
"""SQLSTATE of a write on a standby, as after a failover, or on a server that was set read-only."""

# Without keepalives a call blocks for about two hours if the peer disappears without closing the connection (a pulled
# cable, a paused machine, a dropped NAT entry). libpq ignores these options on Unix sockets.
_LIVENESS = {
    "keepalives": 1,
    "keepalives_idle": 30,  # seconds
    "keepalives_interval": 10,  # seconds
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}


def create_engine(url: str, *, pool_size: int = 2, max_overflow: int = 3) -> Engine:
    """Create an engine whose calls fail within a minute during a database outage and recover afterwards.

    Args:
        url: Normalised URL; connection options in its query override the defaults of this module.
        pool_size: Number of connections kept open. Small, since each worker of a study has its own pool and a server
            allows about 100 connections.
        max_overflow: Number of additional connections, closed after use.
    """
    engine = sqlalchemy.create_engine(url, **engine_options(url, pool_size=pool_size, max_overflow=max_overflow))
    event.listen(engine, "handle_error", _give_up_connections_to_a_standby)
    return engine


def _give_up_connections_to_a_standby(context: ExceptionContext) -> None:
    """Treat a server that has become read-only as one that is away: a connection to it stays read-only for ever."""
    if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
        context.is_disconnect = True


def engine_options(url: str, *, pool_size: int = 2, max_overflow: int = 3) -> dict[str, Any]:
    """Return the SQLAlchemy options of `create_engine`, for libraries that create their own engine."""
    options: dict[str, int | str | None] = {
        "connect_timeout": _CONNECT_TIMEOUT_SECONDS,
        "application_name": "nas",
        # A pooler such as PgBouncer may run a prepared statement on a connection that did not prepare it.
        "prepare_threshold": None,
        **_LIVENESS,
    }
    url_options = make_url(url).query
    return {
        "pool_pre_ping": True,
        "pool_size": pool_size,
        "max_overflow": max_overflow,
        "hide_parameters": True,
        "connect_args": {key: value for key, value in options.items() if key not in url_options},
    }


def check_reachable(url: str) -> None:
    """Open one connection to the database.

    Raises:
        DatabaseError: The server does not respond, or rejects the user or the database.
    """
    try:
        engine = create_engine(url, pool_size=1, max_overflow=0)
        try:
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        finally:
            engine.dispose()
    except SQLAlchemyError as error:
        reason = redact_secrets(str(getattr(error, "orig", None) or error), url)
        raise DatabaseError(
            f"cannot use the database {masked_url(url)}: {reason}; check that it runs and that NAS_STORAGE names "
            "the right host, user, password and database"
        ) from error
