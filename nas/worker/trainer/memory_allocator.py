"""The C library's allocator, told to keep the memory that it has."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_LARGEST_INT = 2**31 - 1


def retain_freed_memory() -> bool:
    """Have this process reuse freed memory rather than hand it back to the kernel and ask for it again.

    A training step frees and allocates the same tensors of some megabytes again and again. By default glibc maps each
    of them anew, and the kernel fills every page with zeros at its first touch: 10 to 30 % of a small network's step.

    Returns:
        Whether the C library is one that can be told; others go on as they were.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT))
