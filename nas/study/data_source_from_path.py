"""Data source for a path given on the command line. This module does not import torch."""

from __future__ import annotations

from pathlib import Path

from nas.errors import DataError

LAYOUTS = "expected a .npz file, or a folder with train/<class>/* or <class>/*"


def data_source_from_path(path: Path) -> dict[str, str]:
    """Return `source` and `path` of a `DataSpec` for a file or folder of images.

    The path becomes absolute, because the study is also used from other working folders.

    Raises:
        DataError: The path does not exist, or is neither an npz file nor a folder.
    """
    absolute = path.expanduser().resolve()
    if absolute.is_dir():
        return {"source": "folder", "path": str(absolute)}
    if not absolute.exists():
        raise DataError(f"{path}: no such file or folder; {LAYOUTS}")
    if absolute.is_file() and absolute.suffix.lower() == ".npz":
        return {"source": "npz", "path": str(absolute)}
    raise DataError(f"{path}: not a data set; {LAYOUTS}")
