"""Exceptions with messages for the user: the error, its location and a remedy."""

from __future__ import annotations

from collections.abc import Sequence


class NasError(Exception):
    """Base class of errors with a remedy; the command line prints the message without traceback and exits with 1."""


class SettingsError(NasError):
    """Invalid value of an environment variable."""


class SpecificationError(NasError):
    """Faults of a study file or search-space file, all listed.

    Args:
        where: Path of the file, or another name of the source.
        faults: One line per fault, starting with its key.
    """

    def __init__(self, where: str, faults: Sequence[str]) -> None:
        self.where = where
        self.faults = tuple(faults)
        super().__init__(fault_list(where, faults))


class DataError(NasError):
    """Missing or damaged data set, or a data set unsuitable for classification."""


class FaultyDataError(DataError):
    """Faults of a data set, all listed.

    Args:
        where: File, folder or name of the data set.
        faults: One line per fault with the error and a remedy.
    """

    def __init__(self, where: str, faults: Sequence[str]) -> None:
        self.where = where
        self.faults = tuple(faults)
        super().__init__(fault_list(where, faults))


class ArchitectureError(NasError):
    """Network that cannot be built for the given image size."""


class DatabaseError(NasError):
    """Unreachable or unusable database."""


class StudyError(NasError):
    """Unknown study, study with a different specification, or study without results."""


class ModelFileError(NasError):
    """File that is not an export of `nas`, or export with outputs different from its network's."""


class ArchiveError(NasError):
    """Archive of a study that is damaged, of another version, or cannot be written."""


class WorkerError(NasError):
    """Worker that cannot run any trial."""


class MachineError(NasError):
    """Fault of the machine: disk, memory, permission, library or signal. It ends the worker and charges no trial."""


class DamagedFileError(StudyError):
    """File of the artifact store whose SHA-256 is not the one in the database."""


def fault_list(where: str, faults: Sequence[str]) -> str:
    """Format one fault as one line, several faults as a heading and one line each."""
    if len(faults) == 1:
        return f"{where}: {faults[0]}"
    return "\n".join([f"{where}: {len(faults)} faults", *(f"  {fault}" for fault in faults)])


NUM_LISTED = 5


def shortened_list(items: Sequence[str], total: int | None = None) -> str:
    """Format the first `NUM_LISTED` items in one line, with the number of the remaining items.

    Args:
        items: All items, or at least the first `NUM_LISTED`.
        total: Total number of items, if `items` is incomplete.
    """
    num_others = (len(items) if total is None else total) - len(items[:NUM_LISTED])
    shown = ", ".join(items[:NUM_LISTED])
    match num_others:
        case 0:
            return shown
        case 1:
            return f"{shown} and 1 other"
        case _:
            return f"{shown} and {num_others} others"
