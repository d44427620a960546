"""Trainer process with the supervisor's end of its pipe, and the cause of its end."""

from __future__ import annotations

import atexit
import time

from nas.data.memory_limit import memory_limit_bytes
from nas.errors import MachineError
from nas.worker.supervisor.hang_detection import is_stopped
from nas.worker.supervisor.memory_limit import memory_text, out_of_memory_kills, resident_bytes
from nas.worker.supervisor.start_trainer import describe_exit, start_trainer
from nas.worker.supervisor.trainer_errors import TrainerLost
from nas.worker.trainer_messages import Reply, Request

_EXIT_SECONDS = 5.0
_SIGKILL = -9
# Looked at with every message, the memory would cost half a percent of a training with short epochs.
_SECONDS_BETWEEN_LOOKS = 0.25
# Without the kernel's count: a process that had taken most of the memory is taken to have been ended for it.
_LARGE_SHARE = 0.8


class TrainerProcess:
    """One trainer process, started at once.

    Args:
        device: As in `NAS_DEVICE`.
        threads, shared_cores, code: As in `start_trainer`.

    Raises:
        MachineError: The system starts no further process.
    """

    def __init__(self, device: str, threads: int, shared_cores: int | None, code: str | None = None) -> None:
        self._peak_bytes, self._next_look = 0, 0.0
        self._out_of_memory_kills = out_of_memory_kills()
        try:
            self._process, self._connection = start_trainer(device, threads, shared_cores, code)
        except OSError as error:
            raise MachineError(
                f"a training process cannot be started ({error.strerror or error}); check the limits of processes, "
                "memory and open files (ulimit -a)"
            ) from error
        # At exit, multiprocessing would send SIGTERM, which the trainer ignores, and then wait for ever.
        atexit.register(self.close)

    @property
    def pid(self) -> int:
        """Process identifier."""
        assert self._process.pid is not None
        return self._process.pid

    def poll(self, seconds: float) -> bool:
        """Return True once a message is there, or the process has ended."""
        now = time.monotonic()
        if now >= self._next_look:
            self._peak_bytes = max(self._peak_bytes, resident_bytes(self.pid))
            self._next_look = now + _SECONDS_BETWEEN_LOOKS
        return self._connection.poll(seconds)

    def is_stopped(self) -> bool:
        """Return True while a signal has stopped the process."""
        return is_stopped(self.pid)

    # Pipe errors are caught here alone: listeners to reports write to other pipes, which may break as well.

    def send(self, request: Request) -> None:
        """Send a request.

        Raises:
            TrainerLost: The process has ended.
        """
        try:
            self._connection.send(request)
        except OSError as error:
            raise self._reap() from error

    def receive(self) -> Reply:
        """Receive a message.

        Raises:
            TrainerLost: The process has ended.
        """
        try:
            reply: Reply = self._connection.recv()
        except (EOFError, OSError) as error:  # OSError if it ended in the middle of a message.
            raise self._reap() from error
        return reply

    def close(self) -> None:
        """Kill the process; unsaved work is lost."""
        atexit.unregister(self.close)
        self._connection.close()
        self._process.kill()
        # With a limit: a process that is stuck in the kernel, in a driver, cannot be killed.
        self._process.join(_EXIT_SECONDS)

    def _reap(self) -> TrainerLost:
        """Reap the ended process and return the error with the cause of its end."""
        self._process.join(_EXIT_SECONDS)
        code = self._process.exitcode
        self.close()
        out_of_memory_bytes = self._out_of_memory_bytes(code)
        memory = "" if out_of_memory_bytes is None else f": {memory_text(out_of_memory_bytes)}"
        return TrainerLost(f"the trainer process ended ({describe_exit(code)}){memory}", code, out_of_memory_bytes)

    def _out_of_memory_bytes(self, code: int | None) -> int | None:
        """Return the largest memory that the process was seen with if it was ended for lack of it; else None."""
        if code != _SIGKILL:
            return None
        kills = out_of_memory_kills()
        if kills is None or self._out_of_memory_kills is None:
            return self._peak_bytes if self._peak_bytes > _LARGE_SHARE * memory_limit_bytes() else None
        return self._peak_bytes if kills > self._out_of_memory_kills else None
