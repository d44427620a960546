"""Configuration of the C library's memory allocator."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_LARGEST_INT = 2**31 - 1


def retain_freed_memory() -> bool:
    """Configure malloc to reuse freed memory rather than return it to the kernel.

    A training step frees and allocates the same tensors of some megabytes again and again. By default glibc maps each
    of them anew, and the kernel zeroes every page at its first access: 10 to 30 % of a small network's step.

    Returns:
        True if the C library supports it; otherwise nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _LARGEST_INT))
