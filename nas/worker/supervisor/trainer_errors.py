"""Errors of the trainer client."""

from __future__ import annotations

from dataclasses import dataclass

from nas.errors import WorkerError
from nas.results.outcome import Failed


class TrainerLost(WorkerError):  # noqa: N818 - it names what happened
    """The trainer process ended without a reply.

    Args:
        exit_code: Its exit code, negative for a signal; None if unknown.
        out_of_memory_bytes: Largest memory that it was seen with, if the kernel ended it for lack of memory.
    """

    def __init__(self, text: str, exit_code: int | None = None, out_of_memory_bytes: int | None = None) -> None:
        super().__init__(text)
        self.exit_code = exit_code
        self.out_of_memory_bytes = out_of_memory_bytes


@dataclass(frozen=True)
class ProcessLost(Failed):
    """Training that ended because its process did.

    Attributes:
        exit_code: As in `TrainerLost`.
        out_of_memory_bytes: As in `TrainerLost`.
    """

    exit_code: int | None = None
    out_of_memory_bytes: int | None = None


class MeasurementFailed(WorkerError):  # noqa: N818 - it names what happened
    """A network could not be built or run once."""


class Interrupted(Exception):  # noqa: N818 - it names what happened
    """The trainer process was ended because a stop was requested."""
