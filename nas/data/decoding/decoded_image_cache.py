"""On-disk cache of decoded image folders, invalidated when a file or the settings change."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from nas.data.decoding.image_decoding import DECODER_VERSION, Decoding, Pixels, decode_images
from nas.data.filesystem.atomic_write import atomic_write
from nas.data.filesystem.folder_lock import folder_lock
from nas.data.labelled_images import Progress
from nas.errors import DataError


@dataclass(frozen=True)
class ImageFile:
    """Identity of an image file: name, size and modification time.

    Attributes:
        name: Path relative to the folder, with slashes.
        size: Size in bytes.
        mtime_ns: Modification time in nanoseconds.
    """

    name: str
    size: int
    mtime_ns: int


def cached_images(
    root: Path, files: Sequence[ImageFile], decoding: Decoding, cache: Path, progress: Progress | None = None
) -> Pixels:
    """Return the pixels of the files in their order; decode and cache them if necessary.

    A cache file's name has two hashes, one of the settings and one of the files. A new cache replaces
    those with the same settings.

    Args:
        root: Folder of the files.
        cache: Folder of the cache files; created if missing.

    Returns:
        uint8 [N, C, H, W].

    Raises:
        DataError: Files cannot be decoded, or the cache cannot be written.
    """
    # The folder's path is hashed too: unpacked archives often have equal names, sizes and times.
    family = f"{root.resolve().name}-{_digest([DECODER_VERSION, str(root.resolve()), astuple(decoding)])[:12]}"
    digest = _digest([astuple(file) for file in files])
    path = cache / f"{family}-{digest[:20]}.npz"
    pixels = _read(path, digest, len(files))
    if pixels is not None:
        return pixels
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable_error(cache, error) from error
    with folder_lock(cache):
        pixels = _read(path, digest, len(files))  # Another process may have decoded while this one waited.
        if pixels is None:
            pixels = decode_images(root, [file.name for file in files], decoding, progress)
            try:
                _write(path, digest, pixels)
                _remove_older(path, family)
            except OSError as error:
                raise _unwritable_error(cache, error) from error
    return pixels


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _read(path: Path, digest: str, num_images: int) -> Pixels | None:
    """Return the cached pixels; None if missing or damaged (the archive has checksums)."""
    try:
        # Opened here, since numpy does not close a file that is not an archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            pixels, stored_digest = archive["pixels"], str(archive["digest"])
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error, NotImplementedError):
        return None
    is_whole = pixels.dtype == np.uint8 and pixels.ndim == 4 and pixels.shape[0] == num_images
    return pixels if is_whole and stored_digest == digest else None


def _write(path: Path, digest: str, pixels: Pixels) -> None:
    # Opened here, since numpy appends its suffix to a path without one.
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez(file, pixels=pixels, digest=np.array(digest))


def _remove_older(path: Path, family: str) -> None:
    for older in path.parent.iterdir():
        if older != path and older.name.startswith(f"{family}-"):
            older.unlink(missing_ok=True)


def _unwritable_error(cache: Path, error: OSError) -> DataError:
    return DataError(f"{cache}: cannot keep decoded images ({error.strerror}); set NAS_DATA to a folder with room")
