"""Loader for image folders: train/<class>/* and test/<class>/*, or <class>/* without a test split."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from nas.data.decoding.decoded_image_cache import ImageFile, cached_images
from nas.data.decoding.image_decoding import Decoding, Pixels
from nas.data.labelled_images import Progress, SourceImages, Split
from nas.data.splits.stratified_split import small_classes_fault
from nas.errors import DataError, FaultyDataError, shortened_list

# fmt: off
IMAGE_SUFFIXES = frozenset({
    ".avif", ".bmp", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff",
    ".webp",
})
# fmt: on


def load_folder(root: Path, decoding: Decoding, cache: Path, progress: Progress | None = None) -> SourceImages:
    """Load a folder with one subfolder per class.

    Hidden files and folders, files without an image suffix, and folders beside `train` and `test` are
    skipped. Classes and files are sorted by name.

    Args:
        cache: Folder of the decoded-image cache.

    Raises:
        DataError: The folder is missing, or has faults, which are all listed.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    try:
        scan = _scan(root)
    except OSError as error:
        raise DataError(f"{root}: cannot be read ({error.strerror}: {error.filename})") from error
    faults = list(scan.faults)
    pixels: Pixels | None = None
    files = [file for _, file in (*scan.train, *scan.test)]
    if files:
        try:
            pixels = cached_images(root, files, decoding, cache, progress)
        except FaultyDataError as error:
            faults.extend(error.faults)
    if faults or pixels is None:
        raise FaultyDataError(str(root), faults)
    num_train = len(scan.train)
    return SourceImages(
        name=root.resolve().name,
        classes=scan.classes,
        train=_split(pixels[:num_train], scan.train),
        test=_split(pixels[num_train:], scan.test) if scan.has_test else None,
    )


_Labelled = tuple[int, ImageFile]


@dataclass(frozen=True)
class _Scan:
    """Listing of a folder: classes, labelled files and faults; no image is opened."""

    classes: tuple[str, ...]
    train: tuple[_Labelled, ...]
    test: tuple[_Labelled, ...]
    has_test: bool
    faults: tuple[str, ...]


def _scan(root: Path) -> _Scan:
    has_train = (root / "train").is_dir()
    train_root, test_root = (root / "train" if has_train else root), root / "test"
    train_folders = _class_folders(train_root)
    # Without train/, a folder named test is a class, unless it has subfolders.
    has_test = test_root.is_dir() and (has_train or bool(_class_folders(test_root)))
    if has_test and not has_train:
        return _Scan((), (), (), True, ("test/ has classes but there is no train/; add train/<class>/*",))
    classes = tuple(folder.name for folder in train_folders)
    labels = {name: label for label, name in enumerate(classes)}
    train = tuple((labels[f.name], file) for f in train_folders for file in _image_files(root, f))
    test_folders = _class_folders(test_root) if has_test else []
    test = tuple((labels.get(f.name, -1), file) for f in test_folders for file in _image_files(root, f))
    faults = _train_faults(train_root, classes, train, has_test)
    unknown = [f.name for f in test_folders if f.name not in labels]
    if unknown and classes:
        faults.append(f"test/ has classes that train/ lacks: {shortened_list(unknown)}; add them there or remove them")
    if has_test and not test:
        faults.append("test/ has no images; fill its class folders, or remove it to hold out a part of train/")
    return _Scan(classes, train, test, has_test, tuple(faults))


def _train_faults(train_root: Path, classes: Sequence[str], train: Sequence[_Labelled], has_test: bool) -> list[str]:
    if not classes:
        return [f"no class folders in {train_root}; expected train/<class>/* or <class>/*"]
    faults = []
    if len(classes) == 1:
        faults.append(f"one class only ({classes[0]}); a classifier needs at least 2")
    counts = Counter(label for label, _ in train)
    empty = [name for label, name in enumerate(classes) if not counts[label]]
    if empty:
        faults.append(f"classes without an image: {shortened_list(empty)}; add images or remove the folders")
    filled = [label for label in range(len(classes)) if counts[label]]
    few = small_classes_fault([classes[label] for label in filled], [counts[label] for label in filled], has_test)
    return faults if few is None else [*faults, few]


def _class_folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _image_files(root: Path, folder: Path) -> list[ImageFile]:
    """List the images directly in a class folder, sorted by name; one system call per file."""
    with os.scandir(folder) as entries:
        images = [
            entry
            for entry in entries
            if not entry.name.startswith(".") and Path(entry.name).suffix.lower() in IMAGE_SUFFIXES and entry.is_file()
        ]
    relative = folder.relative_to(root).as_posix()
    files = []
    for entry in sorted(images, key=lambda entry: entry.name):
        status = entry.stat()
        files.append(ImageFile(f"{relative}/{entry.name}", status.st_size, status.st_mtime_ns))
    return files


def _split(pixels: Pixels, labelled: Sequence[_Labelled]) -> Split:
    return Split(torch.from_numpy(pixels), torch.tensor([label for label, _ in labelled], dtype=torch.int64))
