"""Memory of processes against what is allowed, and the kernel's out-of-memory kills."""

from __future__ import annotations

import re
import resource
from pathlib import Path

from nas.data.filesystem.folder_check import megabytes
from nas.data.memory_limit import memory_limit_bytes
from nas.errors import MachineError

# Weights, gradients and two moments, float32.
_BYTES_PER_PARAM = 16
_PAGE_BYTES = resource.getpagesize()


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
    """Return the resident memory of a process; 0 if it has ended or the system does not tell.

    Without pages of files, such as mapped images and libraries: the kernel drops them where memory is short.
    """
    try:
        resident, of_files = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1:3]
        return (int(resident) - int(of_files)) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return 0
