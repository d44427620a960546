"""System account of the embedded server for root users, and folders accessible to the account.

PostgreSQL does not run as root. The account needs access to the data and the programs, and the permissions of a home
directory must not be opened for it. For root, both are therefore below /var/lib/nas.
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
    """Arguments of `subprocess` to run a program as another account."""

    user: int
    group: int
    extra_groups: Sequence[int]


@dataclass(frozen=True)
class Account:
    """Numeric user and group id of a system account."""

    uid: int
    gid: int

    def as_subprocess_arguments(self) -> SubprocessIdentity:
        """Return the `subprocess` arguments of the account, without the caller's supplementary groups."""
        return {"user": self.uid, "group": self.gid, "extra_groups": ()}


def server_account(data: Path) -> Account | None:
    """Return the account for a data directory: its owner if it exists, else a dedicated account, created if missing.

    The owner takes precedence, because a volume may contain data from a container with a different id of the account.

    Raises:
        DatabaseError: The account cannot be created.
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
    """Return the wheel's package if its programs are executable for the server's account, else a copy of it.

    The copy is below /var/lib/nas.

    Args:
        package: Installed package, possibly in a virtual environment below /root.
        version: Version of the wheel; each version has its own copy.
    """
    if os.geteuid() != 0 or _is_world_readable(package):
        return package
    copy = ROOT_FOLDER / f"{package.name}-{version}"
    if not copy.exists():
        make_traversable(ROOT_FOLDER)
        with tempfile.TemporaryDirectory(dir=ROOT_FOLDER, prefix=f".{copy.name}-") as staging:
            # The programs load their libraries from beside the package, three folders above themselves.
            for folder in (package, package.with_name(f"{package.name}.libs")):
                if folder.exists():
                    shutil.copytree(folder, Path(staging, "site", folder.name))
            site = Path(staging, "site")
            for path in (site, *site.rglob("*")):
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444))
            with contextlib.suppress(OSError):  # Another process has created the copy in the meantime.
                site.rename(copy)
    return copy / package.name


def _is_world_readable(package: Path) -> bool:
    is_traversable = all(folder.stat().st_mode & stat.S_IXOTH for folder in (package, *package.parents))
    programs = [*package.glob("*/bin/postgres"), *package.parent.glob(f"{package.name}.libs/*")]
    return is_traversable and all(program.stat().st_mode & stat.S_IROTH for program in programs)


def make_traversable(folder: Path) -> None:
    """Create a folder that all accounts may traverse, independent of the umask."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)


def _make_account() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _NAME]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        try:
            return pwd.getpwnam(_NAME)  # Another process has created it in the meantime.
        except KeyError:
            raise DatabaseError(
                f"PostgreSQL does not run as root, and the account {_NAME} cannot be made ({' '.join(command)}); "
                "make it, run nas as another user, or set NAS_STORAGE"
            ) from error
    return pwd.getpwnam(_NAME)
