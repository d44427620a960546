"""Output files of a training, written where there is room."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from nas.worker.trainer.failure_causes import OS_ERROR


def write_output(path: Path, spare: Path | None, write: Callable[[Path], None]) -> Path:
    """Write a file of a finished training to its path, or under its name in the spare folder; return where it is.

    The weights of a training that has ended exist in memory alone, and the disk may have filled meanwhile.

    Raises:
        OSError, SafetensorError: Neither place can be written to; no partial file is left.
    """
    try:
        return _written(path, write)
    except (OSError, SafetensorError):
        if spare is None:
            raise
        spare.mkdir(parents=True, exist_ok=True)
        return _written(spare / path.name, write)


def _written(path: Path, write: Callable[[Path], None]) -> Path:
    try:
        write(path)
    except SafetensorError as error:
        path.unlink(missing_ok=True)
        # Its message has the number of the system's error, but not the path.
        numbered = OS_ERROR.search(str(error))
        if numbered is None:
            raise
        number = int(numbered[1])
        raise OSError(number, os.strerror(number), str(path)) from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path
