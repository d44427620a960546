"""The PostgreSQL that studies live in: the embedded server, database URLs and engines."""

from __future__ import annotations

from nas.database.embedded import data_directory, is_running, resolve_url, start, stop
from nas.database.engine import check_reachable, create_engine, engine_options
from nas.database.urls import masked, normalised

__all__ = [
    "check_reachable",
    "create_engine",
    "data_directory",
    "engine_options",
    "is_running",
    "masked",
    "normalised",
    "resolve_url",
    "start",
    "stop",
]
