"""The errors that `nas` explains to its user: what happened, where, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence


class NasError(Exception):
    """Something the user can act on; the command line prints it as one clear line and exits with 1."""


class SettingsError(NasError):
    """An environment variable has a value that cannot be used."""


class SpecificationError(NasError):
    """A study or search-space file has faults; every one of them is listed.

    Args:
        where: The file, or another name for what was read.
        faults: One line a fault, each starting with the key it is about.
    """

    def __init__(self, where: str, faults: Sequence[str]) -> None:
        self.where = where
        self.faults = tuple(faults)
        super().__init__(fault_list(where, faults))


class DataError(NasError):
    """A data set is missing, damaged, or not fit for classification."""


class FaultyDataError(DataError):
    """A data set has faults; every one of them is listed.

    Args:
        where: The file, the folder, or the name of the data set.
        faults: One line a fault, each saying what is wrong and what to do.
    """

    def __init__(self, where: str, faults: Sequence[str]) -> None:
        self.where = where
        self.faults = tuple(faults)
        super().__init__(fault_list(where, faults))


class ArchitectureError(NasError):
    """A network cannot be built for the images that there are."""


class DatabaseError(NasError):
    """The database cannot be reached or used."""


class StudyError(NasError):
    """A study is unknown, exists with another specification, or has nothing to show."""


class ModelFileError(NasError):
    """A file is not a network that `nas` exported, or an export does not agree with its network."""


class WorkerError(NasError):
    """A worker could not run trials at all."""


def fault_list(where: str, faults: Sequence[str]) -> str:
    """One fault as one line, several as a heading and a line each."""
    if len(faults) == 1:
        return f"{where}: {faults[0]}"
    return "\n".join([f"{where}: {len(faults)} faults", *(f"  {fault}" for fault in faults)])


NUM_LISTED = 5


def shortened_list(items: Sequence[str], total: int | None = None) -> str:
    """The first few items in one line, and the number of the others.

    Args:
        items: At least the items to be shown.
        total: How many there are, where `items` is only their beginning.
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
