"""One process at a time prepares a data folder; the others wait and find the work done."""

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
    """Hold a folder's lock file; the kernel releases it when the process ends, however it ends.

    A file system without locks, or a folder that may only be read, is used without one: a cache is put
    in place whole, so the loss is double work.

    Args:
        waiting: Called several times a second for as long as another process holds it; what it raises ends the wait.
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
    """Take the lock, or do without where the file system has none; what `on_wait` raises is no concern of it."""
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
