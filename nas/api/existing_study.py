"""Opening of a study that exists."""

from __future__ import annotations

from pathlib import Path

from nas.api.session import Session
from nas.api.study import Study


def open_study(name: str, *, home: str | Path | None = None, progress: bool = True) -> Study:
    """Open an existing study.

    Args:
        name: Name of a search or a grid; `nas studies` lists them.
        home: Folder of the embedded database; None for `NAS_HOME`, or `.nas` here.
        progress: False to show no progress of later runs.

    Raises:
        NasError: There is no study of that name, or the database cannot be reached.
    """
    session = Session(home, progress=progress)
    try:
        return Study(session, session.application.open_search(name))
    except BaseException:
        session.close()
        raise
