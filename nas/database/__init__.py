"""Embedded or external PostgreSQL server: start, stop, URLs and engines."""

from __future__ import annotations

from nas.database.database_urls import masked_url, normalised_url
from nas.database.embedded_server import ServerUse, data_directory, is_running, resolve_url, start, stop, use
from nas.database.sqlalchemy_engine import check_reachable, create_engine, engine_options

__all__ = [
    "ServerUse",
    "check_reachable",
    "create_engine",
    "data_directory",
    "engine_options",
    "is_running",
    "masked_url",
    "normalised_url",
    "resolve_url",
    "start",
    "stop",
    "use",
]
