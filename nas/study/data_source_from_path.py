"""From a path the user gives to the source that reads it; nothing here imports torch."""

from __future__ import annotations

from pathlib import Path

from nas.errors import DataError

LAYOUTS = "expected a .npz file, or a folder with train/<class>/* or <class>/*"


def data_path_spec(path: Path) -> dict[str, str]:
    """The `source` and `path` of a `DataSpec` for a file or folder of images.

    The path becomes absolute: a study outlives the working folder it was created in.

    Raises:
        DataError: Nothing is there, or it is neither an npz file nor a folder.
    """
    absolute = path.expanduser().resolve()
    if absolute.is_dir():
        return {"source": "folder", "path": str(absolute)}
    if not absolute.exists():
        raise DataError(f"{path}: no such file or folder; {LAYOUTS}")
    if absolute.is_file() and absolute.suffix.lower() == ".npz":
        return {"source": "npz", "path": str(absolute)}
    raise DataError(f"{path}: not a data set; {LAYOUTS}")
