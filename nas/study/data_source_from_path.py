"""Data source for a path given on the command line. This module does not import torch."""

from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path

from nas.errors import DataError

LAYOUTS = (
    "expected a folder with train/<class>/* or <class>/*, an archive of one, a table of files and labels (.csv, .tsv, "
    ".parquet), or arrays (.npz, .npy)"
)
_TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")


def data_source_from_path(path: Path) -> dict[str, str]:
    """Return `source` and `path` of a `DataSpec` for a file or folder of images.

    The path becomes absolute, because the study is also used from other working folders. A file's kind is found by its
    content, since it may be a link or lack a suffix.

    Raises:
        DataError: The path does not exist, or is none of the kinds.
    """
    absolute = path.expanduser().absolute()
    if not absolute.exists():
        hint = "; a Windows path is /mnt/c/... here" if os.name != "nt" and str(path)[1:3] in (":\\", ":/") else ""
        raise DataError(f"{path}: no such file or folder{hint}; {LAYOUTS}")
    source = _source_of_folder(absolute) if absolute.is_dir() else _source_of_file(absolute)
    if source is None:
        raise DataError(f"{path}: not a data set; {LAYOUTS}")
    return {"source": source, "path": str(absolute)}


def is_archive(path: Path) -> bool:
    """Return True for a zip or tar file, compressed or not, that is not an npz file."""
    try:
        if zipfile.is_zipfile(path):
            return not _is_npz(path)
        return tarfile.is_tarfile(path)
    except OSError:
        return False


def _is_npz(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
    except (OSError, zipfile.BadZipFile, NotImplementedError):
        return path.suffix.lower() == ".npz"
    return bool(names) and all(name.endswith(".npy") for name in names)


def _source_of_file(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix in _TABLE_SUFFIXES:
        return "table"
    if suffix in (".npz", ".npy"):
        return "npz"
    try:
        if zipfile.is_zipfile(path) and _is_npz(path):
            return "npz"
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    return "folder" if is_archive(path) else None


def _source_of_folder(path: Path) -> str:
    """Return `npz` for a folder of arrays, `huggingface` for a saved data set, else `folder`."""
    try:
        names = {entry.name.lower() for entry in path.iterdir()}
    except OSError:
        return "folder"  # Its loader names the reason.
    if names & {"dataset_info.json", "dataset_dict.json"} or any(name.endswith(".arrow") for name in names):
        return "huggingface"
    shards = (path / "data").glob("*.parquet") if "data" in names else path.glob("*.parquet")
    if any("-of-" in shard.name for shard in shards):
        return "huggingface"
    if any(name.endswith(".npy") for name in names) and not any(entry.is_dir() for entry in path.iterdir()):
        return "npz"
    return "folder"
