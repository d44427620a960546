"""Whom the embedded server runs as when this process is root, and where that account can read and write.

PostgreSQL refuses to run as root. The account must be able to reach the data and the programs, and neither may be
had by opening the permissions of somebody's home directory: as root, both live below /var/lib/nas.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from nas.errors import DatabaseError

ROOT_FOLDER = Path("/var/lib/nas")
_NAME = "nas-postgres"


class SubprocessIdentity(TypedDict, total=False):
    """Arguments of `subprocess` that make a program run as another account."""

    user: int
    group: int
    extra_groups: Sequence[int]


@dataclass(frozen=True)
class Account:
    """A system account, by its numbers."""

    uid: int
    gid: int

    def as_subprocess_arguments(self) -> SubprocessIdentity:
        """Without the caller's supplementary groups, which subprocess would otherwise leave to the server."""
        return {"user": self.uid, "group": self.gid, "extra_groups": ()}


def server_account(data: Path) -> Account | None:
    """The account for a data directory: its owner where it exists, else one made for the purpose.

    The owner comes first because a volume may carry data from a container in which the account had another number.

    Raises:
        DatabaseError: The account cannot be made.
    """
    if os.geteuid() != 0:
        return None
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    try:
        entry = pwd.getpwnam(_NAME)
    except KeyError:
        entry = _make_account()
    return Account(entry.pw_uid, entry.pw_gid)


def readable_package(package: Path, version: str) -> Path:
    """The wheel's package where the server's account can run its programs: in place, or a copy below /var/lib/nas.

    Args:
        package: As installed, which may be in a virtual environment below /root.
        version: Of the wheel, so that another version gets another copy.
    """
    if os.geteuid() != 0 or _open_to_all(package):
        return package
    copy = ROOT_FOLDER / f"{package.name}-{version}"
    if not copy.exists():
        make_passable(ROOT_FOLDER)
        with tempfile.TemporaryDirectory(dir=ROOT_FOLDER, prefix=f".{copy.name}-") as draft:
            # The programs look for their libraries beside the package, three folders above themselves.
            for folder in (package, package.with_name(f"{package.name}.libs")):
                if folder.exists():
                    shutil.copytree(folder, Path(draft, "site", folder.name))
            site = Path(draft, "site")
            for path in (site, *site.rglob("*")):
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444))
            with contextlib.suppress(OSError):  # another process was faster
                site.rename(copy)
    return copy / package.name


def _open_to_all(package: Path) -> bool:
    passable = all(folder.stat().st_mode & stat.S_IXOTH for folder in (package, *package.parents))
    programs = [*package.glob("*/bin/postgres"), *package.parent.glob(f"{package.name}.libs/*")]
    return passable and all(program.stat().st_mode & stat.S_IROTH for program in programs)


def make_passable(folder: Path) -> None:
    """Make a folder of ours that any account may pass through, whatever the umask."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)


def _make_account() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _NAME]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        try:
            return pwd.getpwnam(_NAME)  # another process made it meanwhile
        except KeyError:
            raise DatabaseError(
                f"PostgreSQL does not run as root, and the account {_NAME} cannot be made ({' '.join(command)}); "
                "make it, run nas as another user, or set NAS_STORAGE"
            ) from error
    return pwd.getpwnam(_NAME)
