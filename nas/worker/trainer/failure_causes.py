"""Causes of failed trainings: the machine's faults, told from the network's by the type of the error."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import torch

from nas.results.outcome import Failed
from nas.worker.machine_messages import MachineFault
from nas.worker.trainer.error_line import error_line

OS_ERROR = re.compile(r"(?:\(os error |Os \{ code: )(\d+)")
"""Number of the system's error in a message of safetensors."""
_CPU_MEMORY = re.compile(r"DefaultCPUAllocator|[Cc]annot allocate memory|can't allocate memory|std::bad_alloc")


def failure_of(error: Exception) -> Failed | MachineFault:
    """Return the reply to a request that failed with an unexpected error."""
    fault = machine_fault(error)
    if fault is not None:
        return MachineFault(fault)
    if is_out_of_memory(error):
        return Failed("out_of_memory", (str(error) or type(error).__name__).splitlines()[0])
    return Failed("crashed", error_line(error))


def is_out_of_memory(error: BaseException) -> bool:
    """Return True for an allocation that failed, on any device."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and _CPU_MEMORY.search(str(error)) is not None
    )


def machine_fault(error: BaseException) -> str | None:
    """Return one line about the machine's fault behind an error; None if the network may be the cause.

    A training opens no file that its genome names, so an error of the operating system is never the genome's. Libraries
    that hide it keep its number in their message (safetensors) or as the cause of their own error.
    """
    for one in _chain(error):
        if isinstance(one, OSError):
            place = one.filename if one.filename is not None else "a file or a device"
            return f"{_text(place)}: {one.strerror or one}"
        numbered = OS_ERROR.search(str(one))
        if numbered is not None:
            return f"a file: {os.strerror(int(numbered[1]))}"
        if isinstance(one, ImportError):
            return f"a library: {one}".splitlines()[0]
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes."""
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _text(place: object) -> str:
    return os.fsdecode(place) if isinstance(place, str | bytes | os.PathLike) else str(place)
