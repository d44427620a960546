"""Memory that this machine or container allows, and the kernel's out-of-memory kills."""

from __future__ import annotations

import os
import re
import resource
from pathlib import Path

from nas.data.filesystem.folder_check import megabytes
from nas.errors import MachineError

_CGROUP_FILES = ("memory.max", "memory.limit_in_bytes")
# The kernel's number for "no limit" of the first version of cgroups.
_NO_LIMIT = 1 << 60
# Weights, gradients and two moments, float32.
_BYTES_PER_PARAM = 16
_PAGE_BYTES = resource.getpagesize()


def memory_limit_bytes() -> int:
    """Return the smallest of the machine's memory and the limits of the process and its cgroups."""
    limits = [os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES, *_cgroup_limits()]
    limits += [one for one in (resource.getrlimit(resource.RLIMIT_AS)[0],) if one != resource.RLIM_INFINITY]
    return min(limits)


def memory_text(needed_bytes: int) -> str:
    """Describe a lack of memory.

    Args:
        needed_bytes: Memory that the process had taken when it was ended.
    """
    return (
        f"memory: more than {megabytes(needed_bytes)} needed, {megabytes(memory_limit_bytes())} allowed on this "
        "machine or in this container; allow more, or run fewer trials at once (NAS_SLOTS)"
    )


def require_memory(pid: int, params: int) -> None:
    """Check that a network's weights, gradients and moments fit beside the data and libraries of a process.

    Raises:
        MachineError: They do not, whatever the batch.
    """
    needed, allowed = resident_bytes(pid) + _BYTES_PER_PARAM * params, memory_limit_bytes()
    if needed > allowed:
        raise MachineError(
            f"memory: a network of {params:,} parameters needs at least {megabytes(needed)} with the data and the "
            f"libraries, {megabytes(allowed)} are allowed on this machine or in this container; allow more"
        )


def out_of_memory_kills() -> int | None:
    """Return the number of processes that the kernel has ended for lack of memory; None if it does not tell."""
    try:
        counted = re.search(r"^oom_kill (\d+)$", Path("/proc/vmstat").read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        return None
    return int(counted[1]) if counted else None


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process; 0 if it has ended or the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return 0


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
