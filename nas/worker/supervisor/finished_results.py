"""Finished trainings whose results could not be recorded: kept on disk, and recorded by the next worker."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.data.filesystem.atomic_write import atomic_write
from nas.data.filesystem.folder_identity import FolderIdentity
from nas.results.learning_curve import EpochRecord
from nas.results.metrics import ClassScores, Scores
from nas.results.outcome import Completed
from nas.search.trial_tells import RunningTrial, TrialFiles

_RESULT = "result.json"


class FinishedResults:
    """Results of one study, a folder for each trial.

    Args:
        folders: Folders to keep them in; the first with room is used, and all are searched. One whose disk was
            unmounted since is used last.
        study: Name of the study.
    """

    def __init__(self, folders: Sequence[Path], study: str) -> None:
        self._folders = tuple(folder.absolute() / "finished" / study for folder in folders)
        self._parents = {
            kept: FolderIdentity(folder.absolute()) for kept, folder in zip(self._folders, folders, strict=True)
        }
        for folder in self._folders:
            self._is_replaced(folder)

    def folder_of(self, number: int) -> Path | None:
        """Return the folder in which a training may write its files if there is no room elsewhere; None for none."""
        return self._folders[-1] / str(number) if self._folders else None

    def keep(self, trial: RunningTrial, outcome: Completed, files: TrialFiles) -> Path | None:
        """Keep a result with its files; return their folder, or None if no folder has room."""
        for parent in sorted(self._folders, key=self._is_replaced):
            folder = parent / str(trial.number)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                hashes = {}
                for path in files.existing():
                    if path.parent != folder:
                        with atomic_write(folder / path.name) as temporary:
                            shutil.copyfile(path, temporary)
                    hashes[path.name] = _sha256(folder / path.name)
                with atomic_write(folder / _RESULT) as temporary:
                    temporary.write_text(json.dumps({**_identity(trial), "files": hashes, "result": asdict(outcome)}))
            except OSError:
                if all(path.parent != folder for path in files.existing()):
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            return folder
        return None

    def find(self, trial: RunningTrial) -> tuple[Completed, TrialFiles] | None:
        """Return the kept result of a trial with its files; None if there is none, or it is damaged."""
        for parent in self._folders:
            folder = parent / str(trial.number)
            try:
                kept = json.loads((folder / _RESULT).read_text(encoding="utf-8"))
                is_its = {name: kept.get(name) for name in _identity(trial)} == _identity(trial)
                if is_its and all(_sha256(folder / name) == digest for name, digest in kept["files"].items()):
                    return _completed(kept["result"]), TrialFiles.within(folder, trial)
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return None

    def remove_ended(self, ended: set[int]) -> None:
        """Delete what was kept of trials that have ended, by another training."""
        for parent in self._folders:
            # A disk that is gone is no reason to fail at the end.
            with contextlib.suppress(OSError):
                for folder in parent.iterdir() if parent.is_dir() else ():
                    if folder.name.isdecimal() and int(folder.name) in ended:
                        shutil.rmtree(folder, ignore_errors=True)

    def remove(self, number: int) -> None:
        """Delete what was kept of a trial."""
        for parent in self._folders:
            shutil.rmtree(parent / str(number), ignore_errors=True)

    def _is_replaced(self, parent: Path) -> bool:
        try:
            return not self._parents[parent].is_unchanged()
        except OSError:
            return True


def _identity(trial: RunningTrial) -> dict[str, Any]:
    return {"trial_id": trial.trial_id, "training": trial.key}


def _completed(stored: dict[str, Any]) -> Completed:
    scores = dict(stored["scores"])
    scores["per_class"] = tuple(ClassScores(**one) for one in scores["per_class"])
    scores["absent"] = tuple(scores["absent"])
    curve = tuple(EpochRecord(**record) for record in stored["curve"])
    return Completed(Scores(**scores), curve, stored["seconds"], stored["device"], stored["figures"])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
