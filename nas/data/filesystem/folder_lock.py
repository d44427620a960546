"""Advisory lock on a folder: one process prepares the data, the others wait for the result."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

_POLL_INTERVAL_SECONDS = 0.2


@contextmanager
def folder_lock(folder: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock file of a folder; the kernel releases it when the process ends, also after a crash.

    On a file system without locks, or in a read-only folder, the block runs without a lock. Caches are written
    atomically, so the cost is repeated work only.

    Args:
        on_wait: Called several times a second while another process holds the lock; an exception ends the wait.
    """
    try:
        handle = (folder / ".lock").open("a")
    except OSError:
        yield
        return
    with handle:
        _acquire(handle, on_wait)  # Closing the file releases it.
        yield


def _acquire(handle: IO[Any], on_wait: Callable[[], None] | None) -> None:
    """Acquire the lock, or return without it if the file system has no locks; exceptions of `on_wait` propagate."""
    if on_wait is None:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        return
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pass
        except OSError:
            return
        on_wait()
        time.sleep(_POLL_INTERVAL_SECONDS)
