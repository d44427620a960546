"""Memory that this machine or container allows."""

from __future__ import annotations

import os
import resource
from pathlib import Path

_CGROUP_FILES = ("memory.max", "memory.limit_in_bytes")
# The kernel's number for "no limit" of the first version of cgroups.
_NO_LIMIT = 1 << 60


def memory_limit_bytes() -> int:
    """Return the smallest of the machine's memory and the limits of the process and its cgroups."""
    limits = [os.sysconf("SC_PHYS_PAGES") * resource.getpagesize(), *_cgroup_limits()]
    limits += [one for one in (resource.getrlimit(resource.RLIMIT_AS)[0],) if one != resource.RLIM_INFINITY]
    return min(limits)


def _cgroup_limits() -> list[int]:
    """Return the limits of the process's cgroup and of those around it, in both versions of cgroups."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    limits = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            root = Path("/sys/fs/cgroup") / controllers
            folder = root / path.lstrip("/")
            # A container may see its cgroup as the root, although its path is longer.
            for place in {root, *[one for one in (folder, *folder.parents) if one.is_relative_to(root)]}:
                limits += [limit for name in _CGROUP_FILES if (limit := _read_limit(place / name)) is not None]
    return limits


def _read_limit(path: Path) -> int | None:
    try:
        limit = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return limit if limit < _NO_LIMIT else None
