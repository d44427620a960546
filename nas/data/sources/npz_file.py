"""Loader for .npz files with the arrays x_train and y_train, and optionally x_test, y_test and classes.

x is uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] with C 1 or 3; y is integers [N] or [N, 1].
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nas.data.labelled_images import SourceImages, Split
from nas.data.splits.stratified_split import small_classes_fault
from nas.errors import NUM_LISTED, DataError, FaultyDataError, shortened_list

Array = npt.NDArray[Any]
ARRAYS = ("x_train", "y_train", "x_test", "y_test", "classes")
CHANNELS = (1, 3)


def load_npz(path: Path) -> SourceImages:
    """Load an npz file without unpickling.

    Raises:
        DataError: The file is missing, is not an npz file, or its arrays have faults, which are all listed.
    """
    npz = _read_arrays(path)
    x_train, x_test = npz.images("x_train"), npz.images("x_test")
    y_train, y_test = npz.labels("y_train"), npz.labels("y_test")
    npz.check_pairs()
    if x_train is not None and x_test is not None and x_train.shape[1:] != x_test.shape[1:]:
        npz.faults.append(
            f"x_test: images [C, H, W] of {list(x_test.shape[1:])} where x_train has {list(x_train.shape[1:])}"
        )
    classes = _classes(npz, y_train)
    if classes is not None and y_train is not None:
        _check_labels(npz, classes, y_train, y_test)
    if npz.faults or x_train is None or y_train is None or classes is None:
        raise FaultyDataError(str(path), npz.faults)
    test = None if x_test is None or y_test is None else _split(x_test, y_test)
    return SourceImages(path.stem, classes, _split(x_train, y_train), test)


@dataclass
class _NpzArrays:
    """Arrays of an npz file, and the faults found in them."""

    arrays: dict[str, Array] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    faults: list[str] = field(default_factory=list)

    def check_pairs(self) -> None:
        """Record missing arrays, and images and labels of different lengths."""
        for part in ("train", "test"):
            x_name, y_name = f"x_{part}", f"y_{part}"
            missing = [name for name in (x_name, y_name) if name not in self.names]
            if missing and (part == "train" or len(missing) == 1):
                has = ", ".join(self.names) or "nothing"
                self.faults.append(f"no array {' and no array '.join(missing)}; the file has {has}")
            if x_name in self.arrays and y_name in self.arrays:
                lengths = [self.arrays[name].shape[0] if self.arrays[name].ndim else 0 for name in (x_name, y_name)]
                if lengths[0] != lengths[1]:
                    self.faults.append(f"{x_name} has {lengths[0]} images, {y_name} has {lengths[1]} labels")

    def images(self, name: str) -> Array | None:
        """Return an array of images as [N, C, H, W]; None if missing or faulty, with the fault recorded."""
        array = self.arrays.get(name)
        if array is None:
            return None
        if array.dtype != np.uint8:
            self.faults.append(f"{name}: type {array.dtype}; give pixels 0-255 as uint8")
            return None
        match array.shape:
            case (_, h, w) if min(array.shape) > 0:
                return array.reshape(-1, 1, h, w)
            case (_, c, _, w) if min(array.shape) > 0 and (c in CHANNELS) != (w in CHANNELS):
                return array if c in CHANNELS else array.transpose(0, 3, 1, 2)
            case _:
                self.faults.append(
                    f"{name}: shape {list(array.shape)}; give [N, H, W], [N, H, W, C] or [N, C, H, W] with C 1 or 3"
                )
                return None

    def labels(self, name: str) -> Array | None:
        """Return an array of labels as int64 [N]; None if missing or faulty, with the fault recorded."""
        array = self.arrays.get(name)
        if array is None:
            return None
        if array.dtype.kind not in "iu":
            self.faults.append(f"{name}: type {array.dtype}; give labels as whole numbers from 0")
            return None
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1 or array.size == 0:
            self.faults.append(f"{name}: shape {list(array.shape)}; give one label an image, [N]")
            return None
        if array.min() < 0 or int(array.max()) > np.iinfo(np.int64).max:
            self.faults.append(f"{name}: labels from {array.min()} to {array.max()}; they must count from 0")
            return None
        return array.astype(np.int64)


def _read_arrays(path: Path) -> _NpzArrays:
    if not path.exists():
        raise DataError(f"{path}: no such file")
    npz = _NpzArrays()
    try:
        if not zipfile.is_zipfile(path):
            raise DataError(f"{path}: not an npz file; write one with numpy.savez(file, x_train=..., y_train=...)")
        # Opened here, since numpy does not close a file that is not an archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            npz.names = tuple(archive.files)
            for name in (name for name in ARRAYS if name in archive.files):
                _read_array(archive, name, npz)
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    return npz


def _read_array(archive: Any, name: str, npz: _NpzArrays) -> None:
    try:
        array = archive[name]
    except ValueError as error:
        if "allow_pickle" in str(error):
            expected = "text, as numpy.array(names, dtype=str)" if name == "classes" else "numbers, images of one shape"
            npz.faults.append(f"{name}: an array of objects; give {expected}")
        else:
            npz.faults.append(f"{name}: damaged ({error})")
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        npz.faults.append(f"{name}: damaged ({error})")
    else:
        if isinstance(array, np.ndarray):
            npz.arrays[name] = array
        else:  # A member of the archive that is not a numpy array.
            npz.faults.append(f"{name}: not an array")


def _classes(npz: _NpzArrays, y_train: Array | None) -> tuple[str, ...] | None:
    """Return the class names of the file, else the label numbers; None if faulty, with the fault recorded."""
    names = npz.arrays.get("classes")
    if names is None and "classes" in npz.names:
        return None  # The array could not be read; the fault is recorded.
    if names is None:
        # An invalid, large label must not create a long tuple: as many names as labels are enough to report it.
        size = 0 if y_train is None else min(int(y_train.max()), y_train.size) + 1
        return tuple(str(label) for label in range(size))
    if names.ndim != 1 or names.dtype.kind not in "USiu":
        npz.faults.append(f"classes: {names.dtype} {list(names.shape)}; give one name a class, [K]")
        return None
    classes = tuple(n.decode(errors="replace") if isinstance(n, bytes) else str(n) for n in names.tolist())
    repeated = sorted({name for name in classes if classes.count(name) > 1})
    if repeated:
        npz.faults.append(f"classes: given more than once: {shortened_list(repeated)}")
    return classes


def _check_labels(npz: _NpzArrays, classes: tuple[str, ...], y_train: Array, y_test: Array | None) -> None:
    num_classes = len(classes)
    if num_classes < 2:
        npz.faults.append(f"number of classes: {num_classes}; a classifier needs at least 2")
        return
    if y_train.max() >= num_classes:
        npz.faults.append(_label_range_fault("y_train", y_train, num_classes))
        return
    counts = np.bincount(y_train, minlength=num_classes)
    absent = np.flatnonzero(counts == 0)
    if absent.size:
        shown = [f"{label} ({classes[label]})" for label in absent[:NUM_LISTED]]
        npz.faults.append(f"y_train: no image of label {shortened_list(shown, absent.size)}; number the classes from 0")
    present = np.flatnonzero(counts)
    few = small_classes_fault([classes[label] for label in present], counts[present].tolist(), y_test is not None)
    if few is not None:
        npz.faults.append(few)
    if y_test is not None and y_test.max() >= num_classes:
        npz.faults.append(_label_range_fault("y_test", y_test, num_classes))


def _label_range_fault(name: str, labels: Array, num_classes: int) -> str:
    invalid = [str(label) for label in np.unique(labels[labels >= num_classes])]
    return f"{name}: labels {shortened_list(invalid)} are not among the {num_classes} classes, 0 to {num_classes - 1}"


def _split(images: Array, labels: Array) -> Split:
    return Split(torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(labels))
