"""Reading of arrays from an `.npz` file, or from `.npy` files in one folder, without unpickling."""

from __future__ import annotations

import re
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nas.data.sources.labelled_files import SplitName, split_of_name
from nas.errors import DataError
from nas.results.printable_text import printable

Array = npt.NDArray[Any]
Kind = Literal["images", "labels", "classes", "groups"]

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("x", "images", "image", "imgs", "img", "data", "pixels", "features"), "images"),
    **dict.fromkeys(("y", "labels", "label", "targets", "target"), "labels"),
}  # fmt: skip
_CLASS_NAMES = frozenset({"classes", "class_names", "classnames", "label_names", "labels_names", "target_names"})


@dataclass
class Arrays:
    """Arrays of a file by split and kind, and the faults found in them.

    Attributes:
        arrays: Readable arrays.
        names: Names of the arrays, also of unreadable ones.
        unused: Names of arrays that are neither images, labels, classes nor groups.
        group_by: Name of the arrays of groups, without a split; None for no groups.
        other_files: Printable names of files beside npy files.
    """

    arrays: dict[tuple[SplitName, Kind], Array] = field(default_factory=dict)
    names: dict[tuple[SplitName, Kind], str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    group_by: str | None = None
    other_files: list[str] = field(default_factory=list)

    @property
    def contents(self) -> str:
        """Names of all arrays for error messages."""
        return ", ".join([*self.names.values(), *self.unused]) or "nothing"

    def add(self, name: str) -> tuple[SplitName, Kind] | None:
        """Enter an array's name; return its role, or None if it has none or another array has it."""
        role = role_of_name(name) or self._group_role(name)
        if role is None:
            self.unused.append(printable(name))
        elif role in self.names:
            self.faults.append(f"{self.names[role]} and {printable(name)} are both {role[0]} {role[1]}; keep one")
            return None
        else:
            self.names[role] = printable(name)
        return role

    def _group_role(self, name: str) -> tuple[SplitName, Kind] | None:
        """Return the role of an array of groups, such as `patient` or `patient_test` for `patient`."""
        if self.group_by is None or self.group_by.lower() not in name.lower():
            return None
        before, _, after = name.lower().partition(self.group_by.lower())
        if not before and not after:
            return "train", "groups"
        split = split_of_name(before.rstrip("_-. ") or after.lstrip("_-. "))
        return (split, "groups") if split is not None and not (before and after) else None


def role_of_name(name: str) -> tuple[SplitName, Kind] | None:
    """Return the split and the kind that an array's name tells, such as `x_val`, `train_images` or `labels`.

    Names without a split are training images.
    """
    lower = name.lower()
    if lower in _CLASS_NAMES:
        return "train", "classes"
    pieces = [
        piece for piece in re.split(r"[^a-z]+|(?<=^x)(?=[tv])|(?<=^y)(?=[tv])|(?<=[nlt])(?=[xy]$)", lower) if piece
    ]
    splits = [split for piece in pieces if (split := split_of_name(piece)) is not None]
    kinds = [_KINDS[piece] for piece in pieces if piece in _KINDS]
    if len(kinds) != 1 or len(splits) > 1 or len(pieces) != len(kinds) + len(splits):
        return None
    return (splits[0] if splits else "train"), kinds[0]


def read_arrays(path: Path, group_by: str | None = None) -> Arrays:
    """Read the arrays of an npz file, of a folder of npy files, or of the folder of an npy file.

    Args:
        group_by: Name of the arrays of groups, without a split.

    Raises:
        DataError: The file is missing, or is no npz or npy file.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.is_dir() or path.suffix.lower() == ".npy":
        return _read_npy_files(path if path.is_dir() else path.parent, Arrays(group_by=group_by))
    read = Arrays(group_by=group_by)
    try:
        if not zipfile.is_zipfile(path):
            raise DataError(f"{path}: not an npz file; write one with numpy.savez(file, x_train=..., y_train=...)")
        # Opened here, since numpy does not close a file that is not an archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            for name in archive.files:
                role = read.add(name)
                if role is not None:
                    _read_array(lambda name=name: archive[name], name, role, read)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    return read


def _read_npy_files(folder: Path, read: Arrays) -> Arrays:
    for path in sorted(folder.glob("*.npy")):
        role = read.add(path.stem)
        if role is not None:
            _read_array(lambda path=path: np.load(path, allow_pickle=False), path.stem, role, read)
    read.other_files = sorted(
        printable(path.name) for path in folder.iterdir() if path.suffix != ".npy" and not path.name.startswith(".")
    )
    return read


def _read_array(load: Any, name: str, role: tuple[SplitName, Kind], read: Arrays) -> None:
    name = printable(name)
    try:
        array = load()
    except ValueError as error:
        if "allow_pickle" in str(error):
            expected = (
                "numbers, images of one shape" if role[1] == "images" else "text, as numpy.array(names, dtype=str)"
            )
            read.faults.append(f"{name}: an array of objects; give {expected}")
        else:
            read.faults.append(f"{name}: damaged ({error})")
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        read.faults.append(f"{name}: damaged ({error})")
    else:
        if isinstance(array, np.ndarray):
            read.arrays[role] = array
        else:  # A member of the archive that is not a numpy array.
            read.faults.append(f"{name}: not an array")
