"""Archives of image folders: unpacked once into the data folder, without anything that leads out of it."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO

from nas.data.filesystem.folder_lock import folder_lock
from nas.data.labelled_images import Progress
from nas.data.sources.folder_listing import Parts
from nas.errors import DataError
from nas.results.printable_text import printable

MAX_BYTES = 1 << 38
"""Largest sum of unpacked files: 256 GiB, and never more than nine tenths of the free space."""
MAX_FILES = 20_000_000
_MAX_NAME_BYTES = 255
"""Longest name of a file on usual file systems."""
_COPY_BYTES = 1 << 20
_ERRORS = (
    OSError, EOFError, RuntimeError, NotImplementedError, ValueError, zipfile.BadZipFile, tarfile.TarError, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class _Member:
    """File of an archive.

    Attributes:
        fault: Reason for not unpacking it; None for a regular file inside the folder.
    """

    name: str
    size: int
    fault: str | None


def unpacked(path: Path, folder: Path, progress: Progress | None = None) -> tuple[Path, dict[str, list[str]]]:
    """Unpack an archive into a folder below `folder`, or find it there.

    Returns:
        The folder, and the printable names of the members that were not unpacked, by reason.

    Raises:
        DataError: The archive is damaged, encrypted or too large.
    """
    status = path.stat()
    identity = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
    place = folder / hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:20]
    where = printable(str(path))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with folder_lock(folder):
            members = _without_repetitions(_members(path))
            left_out: dict[str, list[str]] = {}
            for member in members:
                if member.fault is not None:
                    left_out.setdefault(member.fault, []).append(printable(member.name))
            if not place.is_dir():
                _require_room(where, members, folder)
                _unpack(path, place, members, progress)
    except _ERRORS as error:
        if isinstance(error, RuntimeError) and "password" in str(error):
            raise DataError(f"{where}: encrypted; unpack it yourself") from error
        raise DataError(f"{where}: the archive cannot be unpacked ({error}); unpack it yourself") from error
    return place, left_out


def _members(path: Path) -> Iterator[_Member]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if not entry.is_dir():
                    # Unix keeps the kind of a file in the upper half of the attributes.
                    is_link = entry.external_attr >> 28 == 0o12
                    yield _Member(entry.filename, entry.file_size, _fault(entry.filename, is_regular=not is_link))
        return
    with tarfile.open(path) as tar:
        for member in tar:
            if not member.isdir():
                yield _Member(member.name, member.size, _fault(member.name, is_regular=member.isreg()))
        _require_end(path, tar.offset)


def _require_end(path: Path, offset: int) -> None:
    """Refuse a tar file that is cut off inside a header, which `tarfile` takes for the end; compressed ones raise.

    Args:
        offset: Place of the first block that is no header.
    """
    with path.open("rb") as file:
        file.seek(257)
        if file.read(5) == b"ustar":
            file.seek(offset)
            block = file.read(tarfile.BLOCKSIZE)
            if len(block) < tarfile.BLOCKSIZE or any(block):
                raise EOFError("it is cut off or damaged")


def _without_repetitions(members: Iterable[_Member]) -> list[_Member]:
    """Return the members, with a fault in those whose file an earlier member has."""
    seen: set[Parts] = set()
    kept = []
    for member in members:
        place = _place(member.name)
        is_repeated = member.fault is None and place in seen
        kept.append(replace(member, fault="members of a path that another one has") if is_repeated else member)
        seen.add(place)
    return kept


def _place(name: str) -> Parts:
    return PurePosixPath(name.replace("\\", "/")).parts


def _fault(name: str, *, is_regular: bool) -> str | None:
    if not is_regular:
        return "links in the archive"
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name or ":" in path.parts[0]:
        return "members leading out of the archive"
    if any(len(part.encode(errors="surrogateescape")) > _MAX_NAME_BYTES for part in path.parts):
        return f"members of a name of more than {_MAX_NAME_BYTES} bytes"
    return None


def _require_room(where: str, members: list[_Member], folder: Path) -> None:
    total, free = sum(member.size for member in members), shutil.disk_usage(folder).free
    limit = min(MAX_BYTES, free * 9 // 10)
    if total > limit or len(members) > MAX_FILES:
        raise DataError(
            f"{where}: {len(members):,} files of {total / 1e9:,.1f} GB, more than the {limit / 1e9:,.1f} GB for "
            f"unpacked archives in {folder}; set NAS_DATA to a folder with room"
        )


def _unpack(path: Path, place: Path, members: Sequence[_Member], progress: Progress | None) -> None:
    """Unpack into a temporary folder, then rename: what is there is complete."""
    partial = Path(tempfile.mkdtemp(prefix="archive-", dir=place.parent))
    done = 0
    try:
        for member, file in _contents(path, members):
            target = partial.joinpath(*_place(member.name))
            target.parent.mkdir(parents=True, exist_ok=True)
            with file, target.open("wb") as output:
                _copy(file, output, member.size)
            done += 1
            if progress is not None:
                progress(f"unpacking {printable(path.name)}", done, len(members))
        partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _contents(path: Path, members: Sequence[_Member]) -> Iterator[tuple[_Member, IO[bytes]]]:
    """Yield the members without a fault, in the order of the archive, with their contents."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            for member, entry in zip(members, entries, strict=True):
                if member.fault is None:
                    yield member, archive.open(entry)
        return
    with tarfile.open(path) as tar:
        others = (entry for entry in tar if not entry.isdir())
        for member, info in zip(members, others, strict=True):
            file = tar.extractfile(info) if member.fault is None else None
            if file is not None:
                yield member, file


def _copy(file: IO[bytes], output: IO[bytes], size: int) -> None:
    """Copy a member, and no more than the size that it was listed with."""
    left = size
    while piece := file.read(min(_COPY_BYTES, left + 1)):
        left -= len(piece)
        if left < 0:
            raise ValueError("a member is larger than its listed size")
        output.write(piece)
