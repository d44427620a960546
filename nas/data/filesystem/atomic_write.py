"""Atomic file writes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary file that replaces the path when the block ends without an error.

    The temporary file is hidden and in the same folder, since a move to another file system is a copy, not atomic.
    Only its owner can read it. After an error the path keeps its previous content.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name[:32]}-", delete=False) as file:
        temporary = Path(file.name)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
