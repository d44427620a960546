"""Files that are there as a whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A file to write to that takes the path's place in the end: half of it is never there.

    It lies in the same folder, hidden, since a move to another file system would be a copy, and is its owner's alone.
    After an error the path holds what it held before.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:32]}-", delete=False) as file:
        temporary = Path(file.name)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
