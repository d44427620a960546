"""On-disk cache of compiled kernels with checksums: a damaged file is made anew, a full or read-only disk ignored.

numba's own cache unpickles whatever its files hold. A truncated one then fails every training, and a flipped bit in
machine code may change results.
"""

from __future__ import annotations

import contextlib
import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache, IndexDataCacheFile

_DIGEST_BYTES = 32
_SUFFIX = "-sha256"


class KernelCache(FunctionCache):
    """Cache of one function's compiled forms.

    Raises:
        RuntimeError: No cache folder is writable.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        # Named differently, so that versions without checksums do not read these files, nor the reverse.
        name, stamp = self._impl.filename_base + _SUFFIX, self._impl.locator.get_source_stamp()
        self._cache_file = _CheckedCacheFile(self._cache_path, name, stamp)  # type: ignore[no-untyped-call]

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save a compiled form; without room for it, it is compiled again by the next process."""
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]


class _CheckedCacheFile(IndexDataCacheFile):
    """Index and data files, each with the SHA-256 of its content in front."""

    def _load_index(self) -> dict[Any, str]:
        content = _read(Path(self._index_path))
        if content is None:
            return {}
        version, stamp, overloads = pickle.loads(content)
        return overloads if (version, stamp) == (self._version, self._source_stamp) else {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        self._write(Path(self._index_path), (self._version, self._source_stamp, overloads))

    def _load_data(self, name: str) -> Any:
        content = _read(Path(self._cache_path) / name)
        if content is None:
            # numba compiles a function whose file is gone, and writes it again.
            raise FileNotFoundError(name)
        return pickle.loads(content)

    def _save_data(self, name: str, data: Any) -> None:
        self._write(Path(self._cache_path) / name, data)

    def _write(self, path: Path, value: Any) -> None:
        content = self._dump(value)  # type: ignore[no-untyped-call]
        with self._open_for_write(str(path)) as file:
            file.write(hashlib.sha256(content).digest() + content)


def _read(path: Path) -> bytes | None:
    """Return the content behind the checksum; None if the file is missing, unreadable or damaged."""
    try:
        file = path.read_bytes()
    except OSError:
        return None
    digest, content = file[:_DIGEST_BYTES], file[_DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None
