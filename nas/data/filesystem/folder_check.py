"""Checks of folders before work starts in them: readable, writable, and room for some bytes."""

from __future__ import annotations

import errno
import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nas.errors import MachineError

_PROBE = os.urandom(4096)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True)
class CheckedFolder:
    """Folder that a command writes to.

    Attributes:
        name: Name for the user, such as "the artifacts folder".
        setting: Environment variable with which another folder is chosen.
        num_bytes: Room that is needed in it.
        may_be_read_only: True for a cache that works without being written.
    """

    name: str
    path: Path
    setting: str
    num_bytes: int = 0
    may_be_read_only: bool = False

    def require(self) -> None:
        """Write a file of that many bytes, read its beginning back and delete it.

        Raises:
            MachineError: One of these fails; the line names folder, reason and remedy.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._require_readable()
            self._require_room()
        except OSError as error:
            if self.may_be_read_only and error.errno in _READ_ONLY and os.access(self.path, os.R_OK | os.X_OK):
                return
            raise MachineError(f"{self.name} {self.path}: {self._reason(error)}") from error

    def _require_readable(self) -> None:
        with os.scandir(self.path):
            pass

    def _require_room(self) -> None:
        size = max(self.num_bytes, len(_PROBE))
        with tempfile.TemporaryFile(dir=self.path, prefix=".nas-check-") as file:
            file.write(_PROBE)
            file.flush()
            self._reserve(file.fileno(), size)
            file.seek(0)
            if file.read(len(_PROBE)) != _PROBE:
                raise OSError(errno.EIO, "what was written to it is not what is read from it")

    def _reserve(self, descriptor: int, size: int) -> None:
        """Reserve blocks without writing them, so that a quota counts and gigabytes take no time."""
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        if limit != resource.RLIM_INFINITY and limit < size:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        status = os.fstatvfs(descriptor)
        free = status.f_bavail * status.f_frsize
        if free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # Not on a disk that would be full meanwhile: another process may be writing to it.
        if free > 2 * size:
            os.posix_fallocate(descriptor, 0, size)

    def _reason(self, error: OSError) -> str:
        needed = megabytes(max(self.num_bytes, len(_PROBE)))
        if error.errno == errno.EFBIG:
            limit = megabytes(resource.getrlimit(resource.RLIMIT_FSIZE)[0])
            return f"files may have {limit} here (ulimit -f), {needed} are needed; raise the limit"
        if error.errno in _NO_ROOM:
            return self._without_room(error, needed)
        if error.errno in _READ_ONLY:
            return f"cannot be read and written by this user ({error.strerror}); change that, or set {self.setting}"
        return f"cannot be used ({error.strerror or error}); mend that, or set {self.setting}"

    def _without_room(self, error: OSError, needed: str) -> str:
        status = os.statvfs(self.path)
        if status.f_files and not status.f_favail:
            return f"no further files fit on its file system (no inodes); delete some, or set {self.setting}"
        free = megabytes(status.f_bavail * status.f_frsize)
        quota = "; the user's quota is spent" if error.errno == errno.EDQUOT else ""
        return f"{needed} are needed, {free} are free{quota}; make room, or set {self.setting}"


def temporary_folder(num_bytes: int = 0) -> CheckedFolder:
    """Return the folder of temporary files.

    Raises:
        MachineError: There is none.
    """
    try:
        return CheckedFolder("the temporary folder", Path(tempfile.gettempdir()), "TMPDIR", num_bytes)
    except OSError as error:
        places = ", ".join(dict.fromkeys(filter(None, (os.environ.get("TMPDIR"), "/tmp", "/var/tmp", "/usr/tmp"))))
        raise MachineError(
            f"the temporary folder: none of {places} can be written; make room, or set TMPDIR to a folder with room"
        ) from error


@contextmanager
def new_temporary_folder() -> Iterator[Path]:
    """Context manager of a new folder in that of temporary files.

    Raises:
        MachineError: There is no room for it.
    """
    temporary_folder()
    try:
        # Files that a library still holds open on a network file system are no reason to fail.
        folder = tempfile.TemporaryDirectory(prefix="nas-", ignore_cleanup_errors=True)
    except OSError as error:
        raise MachineError(
            f"the temporary folder {tempfile.gettempdir()}: {error.strerror or error}; make room, or set TMPDIR"
        ) from error
    with folder as name:
        yield Path(name)


def megabytes(num_bytes: float) -> str:
    """Format a size for the user."""
    if num_bytes < 1e6:
        return f"{max(num_bytes, 0) / 1e3:,.0f} kB"
    return f"{num_bytes / 1e6:,.0f} MB" if num_bytes < 1e9 else f"{num_bytes / 1e9:,.1f} GB"
