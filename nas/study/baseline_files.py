"""Model files among the baselines of a study file: absolute paths, and hashes by which they are known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20


def resolve_baseline_files(tables: dict[str, Any], study_file: Path) -> list[str]:
    """Make the paths of model files absolute and add their SHA-256, in place; return the faults of the files."""
    baselines = tables.get("baseline")
    if isinstance(baselines, dict):
        tables["baseline"] = resolved = dict(baselines)
        return list(_resolve(resolved, "baseline", study_file))
    if not isinstance(baselines, list):
        return []
    faults: list[str] = []
    tables["baseline"] = copies = [dict(one) if isinstance(one, dict) else one for one in baselines]
    for number, table in enumerate(copies, start=1):
        if isinstance(table, dict):
            faults += _resolve(table, f"baseline {number}", study_file)
    return faults


def _resolve(table: dict[str, Any], where: str, study_file: Path) -> Iterator[str]:
    if not isinstance(table.get("file"), str):
        return
    path = (study_file.parent / Path(table["file"]).expanduser()).resolve()
    table["file"] = str(path)
    try:
        digest = file_sha256(path)
    except OSError as error:
        # A hash in its place, so that the other keys are checked as well.
        table["sha256"] = ""
        yield f"{where}.file: {path} cannot be read ({error.strerror or error})"
        return
    if table.setdefault("sha256", digest) != digest:
        yield f"{where}.sha256: {path} has {digest}, another content than the one that is named"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content.

    Raises:
        OSError: The file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
