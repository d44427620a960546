"""Sharing of a machine's CPU cores among the trainer processes on it.

Threads of several processes on the same cores wait for each other in every layer: two commands with two threads each on
two cores run at a fifth of the speed of one. So each training takes threads in proportion to what all trainings wish.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from pathlib import Path
from types import TracebackType

import torch

_SECONDS_BETWEEN_COUNTS = 5.0


class CoreShare:
    """Context manager of a training that sets torch's threads to the training's share of the cores.

    While a training runs, its process holds a lock on a file in a folder of the machine. The kernel releases the lock
    when the process ends, so a file without a lock does not count.

    Args:
        threads: Threads that the training wishes.
        num_cores: Cores of the machine, or of the container.
        folder: Folder shared by all processes of the machine; None for one in the temporary folder.
    """

    def __init__(self, threads: int, num_cores: int, folder: Path | None = None) -> None:
        self._threads, self._num_cores = threads, num_cores
        self._folder = folder or Path(tempfile.gettempdir()) / "nas-trainings"
        self._file: int | None = None
        self._path: Path | None = None
        self._last_count = 0.0

    def __enter__(self) -> CoreShare:
        try:
            self._folder.mkdir(exist_ok=True)
            with contextlib.suppress(OSError):
                # Trainings of other users share the cores too.
                self._folder.chmod(0o1777)
            while not self._lock_new_file():
                self._release()
        except OSError:
            # Without a folder or locks, the training takes what it wishes.
            self._release()
        self._last_count = 0.0
        self.update()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()
        torch.set_num_threads(self._threads)

    def update(self) -> None:
        """Count the trainings and set the threads; does nothing within five seconds of the last count."""
        now = time.monotonic()
        if self._last_count and now - self._last_count < _SECONDS_BETWEEN_COUNTS:
            return
        self._last_count = now
        share = self.share()
        if torch.get_num_threads() != share:
            torch.set_num_threads(share)

    def share(self) -> int:
        """Return the training's share of the cores: its wish if all wishes fit, else in proportion, at least one."""
        if self._file is None:
            return self._threads
        total = self._threads + sum(self._other_wishes())
        if total <= self._num_cores:
            return self._threads
        return max(1, self._num_cores * self._threads // total)

    def _lock_new_file(self) -> bool:
        """Create and lock this training's file; return False if another process removed it before it was locked."""
        self._file, name = tempfile.mkstemp(prefix=f"{self._threads}-", dir=self._folder)
        self._path = Path(name)
        os.fchmod(self._file, 0o644)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return os.fstat(self._file).st_nlink > 0

    def _other_wishes(self) -> list[int]:
        try:
            paths = list(self._folder.iterdir())
        except OSError:
            # The temporary folder was cleaned.
            return []
        wishes = []
        for path in paths:
            if path == self._path:
                continue
            with contextlib.suppress(OSError, ValueError):
                wish = int(path.name.partition("-")[0])
                if _is_locked(path):
                    wishes.append(wish)
                else:
                    # Left by a process that was killed; the folder is sticky, so only its owner can remove it.
                    path.unlink(missing_ok=True)
        return wishes

    def _release(self) -> None:
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
        if self._file is not None:
            os.close(self._file)
        self._file = self._path = None


def _is_locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
