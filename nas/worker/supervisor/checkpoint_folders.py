"""Where the trials of a study keep their checkpoints: a folder each, beside the weights."""

from __future__ import annotations

import shutil
from pathlib import Path


class TrialCheckpoints:
    """The folders of one study's trials. Who shares the artifacts folder can take up each other's trials.

    Args:
        artifacts: The folder of weights.
    """

    def __init__(self, artifacts: Path, study: str) -> None:
        self._folder = artifacts.absolute() / "checkpoints" / study

    def of(self, number: int) -> Path:
        """The folder of a trial; it need not exist."""
        return self._folder / str(number)

    def drop(self, number: int) -> None:
        """Remove the checkpoints of a trial that has ended."""
        shutil.rmtree(self.of(number), ignore_errors=True)

    def drop_leftovers(self, ended: set[int]) -> None:
        """Remove what ended trials have left, such as a late write of a worker that had lost its lease."""
        if self._folder.is_dir():
            for folder in self._folder.iterdir():
                if folder.name.isdecimal() and int(folder.name) in ended:
                    self.drop(int(folder.name))
