"""One process at a time prepares a data folder; the others wait and find the work done."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a folder's lock file; the kernel releases it when the process ends, however it ends.

    A file system without locks, or a folder that may only be read, is used without one: a cache is put
    in place whole, so the loss is double work.
    """
    try:
        handle = (folder / ".lock").open("a")
    except OSError:
        yield
        return
    with handle:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)  # Closing the file releases it.
        yield
