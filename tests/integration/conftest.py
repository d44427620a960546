"""Embedded PostgreSQL: one server per session (per pytest-xdist worker), one database per test."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from nas import database
from nas.search.storage.database_and_artifact_storage import Storage

_numbers = itertools.count()


@pytest.fixture(scope="session")
def new_home() -> Iterator[Callable[[], Path]]:
    """Factory of folders for embedded servers; at the end their servers are stopped and the folders removed."""
    homes: list[Path] = []

    def make() -> Path:
        # Not pytest's tmp_path, which is kept after the session: a server's data is 40 MB.
        homes.append(Path(tempfile.mkdtemp(prefix="nas-test-")) / "home")
        return homes[-1]

    yield make
    for home in homes:
        _stop_at_once(home)
        database.stop(home)
        if os.geteuid() == 0:
            shutil.rmtree(database.data_directory(home).parent, ignore_errors=True)
        shutil.rmtree(home.parent, ignore_errors=True)


def _stop_at_once(home: Path) -> None:
    """Stop a server without flushing to disk, since its data is deleted next."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        postmaster = int((database.data_directory(home) / "postmaster.pid").read_text().splitlines()[0])
        if database.is_running(home):
            os.kill(postmaster, signal.SIGQUIT)


@pytest.fixture(scope="session")
def server_home(new_home: Callable[[], Path]) -> Path:
    """Home of the session's running server; a test that stops the server starts it again."""
    home = new_home()
    engine = database.create_engine(database.start(home)).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        # Otherwise each new and dropped database would wait for the disk; no test simulates a power failure.
        connection.execute(text("ALTER SYSTEM SET fsync = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    engine.dispose()
    return home


@pytest.fixture
def database_url(server_home: Path) -> Iterator[str]:
    """URL of a new database for the test."""
    admin = database.start(server_home)
    name = f"test_{next(_numbers)}"
    engine = database.create_engine(admin).execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(admin).set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = database.create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def connect(database_url: str, tmp_path: Path) -> Iterator[Callable[[], Storage]]:
    """Factory of storages on the test's database with its tables; they are closed at the end."""
    storages: list[Storage] = []

    def make() -> Storage:
        storages.append(Storage.connect(database_url, tmp_path / "artifacts", create_tables=True))
        return storages[-1]

    yield make
    for storage in storages:
        storage.close()


@pytest.fixture
def storage(connect: Callable[[], Storage]) -> Storage:
    return connect()
