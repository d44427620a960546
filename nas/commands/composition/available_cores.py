"""Number of CPU cores that this process may use: affinity and cgroup quota."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def available_cores(cgroups: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> int:
    """Return the cores of the CPU affinity, or of the cgroup quota of a container if that is smaller; at least one.

    Args:
        cgroups: Mount point of the cgroup file system.
        membership: File that names the cgroups of this process.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for folder in _folders(cgroups, membership) if (quota := _quota(folder)) is not None]
    return max(1, min([cores, *(math.floor(quota) for quota in quotas if quota >= 1), *(1 for q in quotas if q < 1)]))


def _folders(cgroups: Path, membership: Path) -> list[Path]:
    """Return the folders of this process's cgroups and their parents, of both versions."""
    folders = [cgroups, cgroups / "cpu"]
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return folders
    for line in lines:
        _, controllers, path = line.split(":", 2)
        root = cgroups if not controllers else cgroups / "cpu"
        if not controllers or "cpu" in controllers.split(","):
            folder = root / path.lstrip("/")
            folders += [folder, *(parent for parent in folder.parents if root in parent.parents)]
    return folders


def _quota(folder: Path) -> float | None:
    """Return the cores that a cgroup may use; None without a limit."""
    try:
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        try:
            quota = (folder / "cpu.cfs_quota_us").read_text(encoding="ascii").strip()
            period = (folder / "cpu.cfs_period_us").read_text(encoding="ascii").strip()
        except OSError:
            return None
    return float(quota) / float(period) if quota not in ("max", "-1") else None
