"""On-disk cache of decoded image folders, invalidated when a file or the settings change."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import numpy as np

from nas.data.decoding.decoded_folder import DecodedFolder, decode_folder
from nas.data.decoding.image_decoding import DECODER_VERSION, Decoding, Pixels
from nas.data.filesystem.atomic_write import atomic_write
from nas.data.filesystem.folder_lock import folder_lock
from nas.data.labelled_images import Progress
from nas.errors import DataError

_CHUNK_BYTES = 1 << 24
_MAX_NAME = 40


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


@dataclass(frozen=True, eq=False)
class CachedImages:
    """Decoded files of a folder.

    Attributes:
        pixels: uint8 [N, C, H, W]; mapped from the file.
        account: Which files the pixels are of, and why others are missing.
    """

    pixels: Pixels
    account: DecodedFolder


def cached_images(
    root: Path, files: Sequence[ImageFile], decoding: Decoding, cache: Path, progress: Progress | None = None
) -> CachedImages:
    """Return the pixels of the files in their order; decode and cache them if necessary.

    A cache file's name has two hashes, one of the settings and one of the files. A new cache replaces
    those with the same settings.

    Args:
        root: Folder of the files.
        cache: Folder of the cache files; created if missing.

    Raises:
        DataError: Images differ in size without an `image_size`, or the cache cannot be written.
    """
    # The folder's path is hashed too: unpacked archives often have equal names, sizes and times.
    settings = _digest([DECODER_VERSION, str(root.resolve()), astuple(decoding)])[:12]
    family = f"{re.sub(r'[^A-Za-z0-9._-]', '_', root.resolve().name)[:_MAX_NAME]}-{settings}"
    digest = _digest([astuple(file) for file in files])
    path = cache / f"{family}-{digest[:20]}.json"
    cached = _read(path, digest)
    if cached is not None:
        return cached
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with folder_lock(cache):
            # Another process may have decoded while this one waited.
            cached = _read(path, digest)
            if cached is None:
                _write(path, digest, root, files, decoding, progress)
                _remove_older(path, family)
                cached = _read(path, digest)
    except OSError as error:
        raise DataError(
            f"{cache}: cannot keep decoded images ({error.strerror}); set NAS_DATA to a folder with room"
        ) from error
    if cached is None:
        raise DataError(f"{cache}: decoded images cannot be read back; set NAS_DATA to another folder")
    return cached


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _read(path: Path, digest: str) -> CachedImages | None:
    """Return the cached images; None if missing or damaged."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        account = DecodedFolder(**stored["account"])
        if stored["digest"] != digest:
            return None
        if not account.kept:
            return CachedImages(np.zeros((0, 1, 1, 1), np.uint8), account)
        pixels_path = path.with_suffix(".npy")
        # Copy-on-write, since PyTorch has no read-only tensors.
        pixels = np.load(pixels_path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    is_whole = pixels.dtype == np.uint8 and pixels.ndim == 4 and len(pixels) == len(account.kept)
    return CachedImages(pixels, account) if is_whole and _checksum(pixels) == stored["crc32"] else None


def _write(
    path: Path, digest: str, root: Path, files: Sequence[ImageFile], decoding: Decoding, progress: Progress | None
) -> None:
    pixels_path = path.with_suffix(".npy")
    with atomic_write(pixels_path) as temporary:
        account = decode_folder(root, [file.name for file in files], decoding, temporary, progress)
        checksum = _checksum(np.load(temporary, mmap_mode="r", allow_pickle=False)) if account.kept else 0
        temporary.touch()
    with atomic_write(path) as temporary:
        content = {"digest": digest, "crc32": checksum, "account": asdict(account)}
        temporary.write_text(json.dumps(content), encoding="utf-8")


def _checksum(pixels: Pixels) -> int:
    """CRC-32 of an array, in pieces, so that a mapped array is not loaded as a whole."""
    flat, checksum = pixels.reshape(-1), 0
    for start in range(0, flat.size, _CHUNK_BYTES):
        checksum = zlib.crc32(flat[start : start + _CHUNK_BYTES].data, checksum)
    return checksum


def _remove_older(path: Path, family: str) -> None:
    for older in path.parent.iterdir():
        if older.stem != path.stem and older.name.startswith(f"{family}-"):
            older.unlink(missing_ok=True)
