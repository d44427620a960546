"""Interactive shell on a pseudo-terminal, with which a worker is started, suspended and continued as by a user."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import psutil

from tests.integration.fleet import Fleet, Worker, wait_until

_SHELL = "import pty; pty.spawn(['bash', '--norc', '--noprofile', '-i'])"


class Terminal:
    """Terminal in which one worker runs in the foreground.

    Attributes:
        worker: The worker, whose `process` is one of psutil.
    """

    worker: Worker

    def __init__(self, fleet: Fleet) -> None:
        self._folder = fleet.folder
        self._shell = subprocess.Popen(
            [sys.executable, "-c", _SHELL], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
            env=fleet.environment_variables, cwd=fleet.folder, start_new_session=True,
        )  # fmt: skip
        log = fleet.folder / "terminal.log"
        log.touch()
        command = shlex.join([sys.executable, "-m", "nas", "worker", fleet.name, "--log-format", "json"])
        self.type(f"{command} > {shlex.quote(str(log))} 2>&1\n")
        self.worker = Worker(cast(Any, None), log)
        started = self.worker.wait_for("worker_started")
        self.worker.process = cast(Any, psutil.Process(int(started["worker"].split(":")[1])))

    def type(self, keys: str) -> None:
        """Send keys to the terminal, as "\x1a" for Ctrl-Z."""
        assert self._shell.stdin is not None
        self._shell.stdin.write(keys.encode())
        self._shell.stdin.flush()

    def suspend(self) -> None:
        """Press Ctrl-Z; return when the worker and its training process stand still."""
        processes = [psutil.Process(self.worker.process.pid), self.worker.trainer()]
        self.type("\x1a")
        wait_until(lambda: all(one.status() == psutil.STATUS_STOPPED for one in processes), 10.0, "Ctrl-Z")

    def resume(self) -> None:
        """Continue the worker in the foreground; the shell writes its exit code to a file at the end."""
        self.type("fg\n")
        self.type("echo $? > code\n")

    def exit_code(self, seconds: float = 120.0) -> int:
        """Wait for the end of a worker that was resumed."""
        code: Path = self._folder / "code"
        wait_until(lambda: code.exists() and code.read_text().strip() != "", seconds, "the worker in the terminal")
        return int(code.read_text())

    def close(self) -> None:
        """Kill the worker and the shell."""
        if self.worker.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.worker.process.pid, signal.SIGKILL)
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._shell.kill()
        self._shell.wait()
