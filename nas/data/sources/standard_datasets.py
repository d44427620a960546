"""Loaders for data sets of scikit-learn and torchvision: digits, MNIST, Fashion-MNIST, EMNIST, CIFAR, EuroSAT."""

from __future__ import annotations

import contextlib
import http.client
import pickle
import socket
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits as sklearn_digits
from torch import Tensor
from torchvision import datasets

from nas.data.decoding.image_decoding import Decoding
from nas.data.filesystem.folder_lock import folder_lock
from nas.data.labelled_images import Progress, SourceImages, Split
from nas.data.sources.image_folder import FolderReading, load_folder
from nas.errors import DataError

DOWNLOAD_TIMEOUT_SECONDS = 60.0
MAX_DIGITS_PIXEL = 16

# Exceptions of torchvision and its dependencies on files that are truncated or not a data set.
_READ_ERRORS = (
    AssertionError, EOFError, KeyError, OSError, RuntimeError, TypeError, ValueError,
    http.client.HTTPException, pickle.UnpicklingError, tarfile.TarError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def load_digits() -> SourceImages:
    """Load scikit-learn's 1,797 handwritten digits, 8×8, without a test split; 0–16 is scaled to 0–255."""
    digits = sklearn_digits()
    pixels = np.rint(digits.images * (255 / MAX_DIGITS_PIXEL)).astype(np.uint8)
    labels = torch.from_numpy(digits.target.astype(np.int64))
    train = Split(torch.from_numpy(pixels).unsqueeze(1), labels)
    return SourceImages("digits", tuple(str(name) for name in digits.target_names), train)


def load_torchvision(name: str, folder: Path) -> SourceImages:
    """Load MNIST, Fashion-MNIST, CIFAR-10 or CIFAR-100 from torchvision's files; download them if missing.

    Args:
        name: Value of `DataSpec.source`.
        folder: torchvision's root.

    Raises:
        DataError: The files are damaged, or missing and cannot be downloaded.
    """
    data_set, place, to_images = {
        "mnist": (datasets.MNIST, "MNIST/raw", _grey),
        "fashion_mnist": (datasets.FashionMNIST, "FashionMNIST/raw", _grey),
        "cifar10": (datasets.CIFAR10, datasets.CIFAR10.base_folder, _colour),
        "cifar100": (datasets.CIFAR100, datasets.CIFAR100.base_folder, _colour),
    }[name]
    train, test = (_read(name, data_set, folder, place, train=is_train) for is_train in (True, False))
    classes = tuple(train.classes)
    parts = [_split(name, folder / place, to_images(part), part.targets, classes) for part in (train, test)]
    return SourceImages(name, classes, train=parts[0], test=parts[1])


def load_emnist(emnist_split: str, folder: Path) -> SourceImages:
    """Load one of EMNIST's six splits, upright, with labels from 0.

    The files store each image transposed. The labels of `letters` start at 1, and torchvision adds an
    empty class for label 0. Both are corrected here.

    Args:
        emnist_split: Value of `DataSpec.emnist_split`.
        folder: torchvision's root.

    Raises:
        DataError: The files are damaged, or missing and cannot be downloaded.
    """
    name = f"emnist-{emnist_split}"
    train, test = (
        _read(name, datasets.EMNIST, folder, "EMNIST/raw", train=is_train, split=emnist_split)
        for is_train in (True, False)
    )
    first_label = 1 if emnist_split == "letters" else 0
    classes = tuple(train.classes[first_label:])
    parts = [
        _split(name, folder / "EMNIST/raw", _grey(part).transpose(2, 3), part.targets - first_label, classes)
        for part in (train, test)
    ]
    return SourceImages(name, classes, train=parts[0], test=parts[1])


def load_eurosat(folder: Path, decoding: Decoding, progress: Progress | None = None) -> SourceImages:
    """Load EuroSAT: 27,000 satellite images in ten classes, 64×64 in colour, without a test split.

    Args:
        folder: torchvision's root.
        progress: Called while images are decoded.

    Raises:
        DataError: The files are damaged, or missing and cannot be downloaded.

    Source: Helber et al., 2019.
    """
    name, place = "eurosat", "eurosat/2750"
    with folder_lock(folder):
        if not (folder / place).is_dir():
            try:
                _download_eurosat(folder, place)
            except _READ_ERRORS as error:
                raise _unavailable_error(name, folder, place, error) from error

    def named(what: str, done: int, total: int) -> None:
        if progress is not None:
            progress(f"decoding {name}", done, total)

    return load_folder(FolderReading(folder / place, decoding, folder / "decoded", name), named)


def _download_eurosat(folder: Path, place: str) -> None:
    """Download to a temporary folder, then rename: torchvision treats a partly unpacked folder as complete."""
    with tempfile.TemporaryDirectory(prefix="eurosat-", dir=folder) as partial, quiet_download():
        datasets.EuroSAT(partial, download=True)
        (folder / place).parent.mkdir(exist_ok=True)
        (Path(partial) / place).rename(folder / place)


def _grey(part: Any) -> Tensor:
    images: Tensor = part.data
    return images.unsqueeze(1)


def _colour(part: Any) -> Tensor:
    return torch.from_numpy(part.data).permute(0, 3, 1, 2)


def _split(name: str, place: Path, images: Tensor, targets: Tensor | list[int], classes: tuple[str, ...]) -> Split:
    labels = torch.as_tensor(targets, dtype=torch.int64)
    if len(images) != len(labels) or not bool(((labels >= 0) & (labels < len(classes))).all()):
        raise _damaged_error(name, place, "images and labels do not belong together")
    return Split(images.contiguous(), labels)


def _read(name: str, data_set: Callable[..., Any], folder: Path, place: str, **arguments: Any) -> Any:
    """Read the data set; download it if files are missing."""
    # The lock covers reading too: torchvision treats a file that is still being unpacked as complete.
    with folder_lock(folder):
        try:
            return data_set(folder, download=False, **arguments)
        except _READ_ERRORS as error:
            if "not found" not in str(error):  # torchvision has no exception type for missing files.
                raise _damaged_error(name, folder / place, error_reason(error)) from error
        try:
            with quiet_download():
                return data_set(folder, download=True, **arguments)
        except _READ_ERRORS as error:
            raise _unavailable_error(name, folder, place, error) from error


def _unavailable_error(name: str, folder: Path, place: str, error: BaseException) -> DataError:
    return DataError(
        f"{name}: not in {folder / place}, and it cannot be downloaded ({error_reason(error)}); put torchvision's "
        f"files there, set NAS_DATA to a folder that holds {place}, or use your own images with --data PATH"
    )


def _damaged_error(name: str, place: Path, reason: str) -> DataError:
    return DataError(f"{name}: the files in {place} are damaged ({reason}); delete them and try again")


def error_reason(error: BaseException) -> str:
    """Return the last line of an error message, which is the cause when torchvision lists several mirrors."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


@contextlib.contextmanager
def quiet_download() -> Iterator[None]:
    """Redirect torchvision's messages to standard error, and set a timeout for stalled downloads."""
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_SECONDS)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        socket.setdefaulttimeout(timeout)
