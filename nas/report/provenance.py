"""How a study is done again: its files, the program's versions, and what it ran on."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import tomli_w

import nas
from nas.search.storage.trial_records import TrialRecord
from nas.study.study_spec import StudySpec

_PACKAGES = ("torch", "torchvision", "optuna", "numpy", "scikit-learn", "plotly")
_GIT_SECONDS = 5
_LONGEST_LINE = 110
# Elements that are lists or tables themselves are indented further, or end with a bracket that is left open.
_LIST = re.compile(r"^(?P<start>\S.* = )\[\n(?P<elements>(?: {4}[^\s\[{].*,\n)+)\]$", re.MULTILINE)


@dataclass(frozen=True)
class DeviceUse:
    """What was trained on one kind of device."""

    device: str
    trials: int
    hours: float


@dataclass(frozen=True)
class Provenance:
    """All that a reader needs to do a study again.

    Attributes:
        study_file: TOML, to be saved as `NAME.toml`.
        space_file: TOML, to be saved as `NAME-space.toml` beside it; None for a grid.
        versions: Of the program and its libraries where the report was written, by name.
        commit: Of the program's source; None where that is not a git checkout.
    """

    study_file: str
    space_file: str | None
    versions: dict[str, str]
    commit: str | None
    devices: tuple[DeviceUse, ...]
    written: date


def provenance_of(spec: StudySpec, records: Sequence[TrialRecord]) -> Provenance:
    """Of a study whose trials ran on the devices that they say."""
    return Provenance(
        study_file=study_file(spec),
        space_file=None if spec.search_space is None else _toml(spec.search_space),
        versions=_versions(),
        commit=_commit(Path(nas.__file__).parent),
        devices=_devices(records),
        written=date.today(),
    )


def space_file_name(spec: StudySpec) -> str:
    """Of the search space that `study_file` names."""
    return f"{spec.name}-space.toml"


def study_file(spec: StudySpec) -> str:
    """The study as a file that `nas search` takes, with every default written out."""
    tables = spec.model_dump(mode="json", exclude_none=True)
    if spec.search_space is not None:
        tables["search_space"] = space_file_name(spec)
    return _toml(tables)


def _toml(tables: Mapping[str, Any]) -> str:
    """TOML with short lists in one line, where the library writes an element a line."""
    return _LIST.sub(_in_one_line, tomli_w.dumps(tables))


def _in_one_line(found: re.Match[str]) -> str:
    elements = ", ".join(line.strip().removesuffix(",") for line in found["elements"].splitlines())
    line = f"{found['start']}[{elements}]"
    return line if len(line) <= _LONGEST_LINE else found[0]


def _versions() -> dict[str, str]:
    found = {"nas": nas.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _commit(folder: Path) -> str | None:
    """The checkout that holds the package itself, not one that it merely lies in, as an environment's would be."""
    if not (folder.parent / ".git").exists():
        return None
    command = ["git", "-C", str(folder.parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def _devices(records: Sequence[TrialRecord]) -> tuple[DeviceUse, ...]:
    trained = [record for record in records if record.device is not None and record.reused_from is None]
    names = sorted({record.device or "" for record in trained})
    return tuple(
        DeviceUse(name, len(members), sum(member.train_seconds or 0.0 for member in members) / 3600)
        for name in names
        for members in [[record for record in trained if record.device == name]]
    )
