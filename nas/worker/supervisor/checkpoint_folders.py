"""Checkpoint folders of a study's trials, one per trial, beside the weights."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path


class TrialCheckpoints:
    """Checkpoint folders of one study. Workers that share the artifacts folder can resume each other's trials.

    Args:
        artifacts: Folder of weights.
    """

    def __init__(self, artifacts: Path, study: str) -> None:
        self._folder = artifacts.absolute() / "checkpoints" / study

    def folder_of(self, number: int) -> Path:
        """Return the folder of a trial, which may not exist."""
        return self._folder / str(number)

    def remove(self, number: int) -> None:
        """Delete the checkpoints of a trial."""
        shutil.rmtree(self.folder_of(number), ignore_errors=True)

    def remove_ended(self, ended: set[int]) -> None:
        """Delete leftovers of ended trials, such as a late write of a worker that had lost its lease."""
        # A disk that is gone is no reason to fail at the end.
        with contextlib.suppress(OSError):
            for folder in self._folder.iterdir() if self._folder.is_dir() else ():
                if folder.name.isdecimal() and int(folder.name) in ended:
                    self.remove(int(folder.name))
