"""Provenance of a study: its input files, software versions, source commit and training devices."""

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
# Nested lists and tables do not match: they are indented further or end with an opening bracket.
_LIST = re.compile(r"^(?P<start>\S.* = )\[\n(?P<elements>(?: {4}[^\s\[{].*,\n)+)\]$", re.MULTILINE)


@dataclass(frozen=True)
class DeviceUse:
    """Trials and training time on one kind of device."""

    device: str
    trials: int
    hours: float


@dataclass(frozen=True)
class Provenance:
    """Inputs, versions and devices that a reader needs to reproduce a study.

    Attributes:
        study_file: TOML text of `NAME.toml`.
        space_file: TOML text of `NAME-space.toml` in the same folder; None for a grid.
        versions: Versions of the program and its libraries on the machine that wrote the report, by name.
        commit: Git commit of the program's source; None if the source is not a git checkout.
        devices: Training devices, sorted by name.
        written: Date of the report.
    """

    study_file: str
    space_file: str | None
    versions: dict[str, str]
    commit: str | None
    devices: tuple[DeviceUse, ...]
    written: date


def gather_provenance(spec: StudySpec, records: Sequence[TrialRecord]) -> Provenance:
    """Collect the provenance of a study; devices are read from its trial records."""
    return Provenance(
        study_file=study_file(spec),
        space_file=None if spec.search_space is None else _toml(spec.search_space),
        versions=_versions(),
        commit=_commit(Path(nas.__file__).parent),
        devices=_devices(records),
        written=date.today(),
    )


def space_file_name(spec: StudySpec) -> str:
    """File name of the search space to which `study_file` refers."""
    return f"{spec.name}-space.toml"


def study_file(spec: StudySpec) -> str:
    """TOML text of a study file for `nas search`, with every default written out.

    Images or minutes of its budget stand as they were given, with the epochs that they were converted to in a comment:
    minutes may be other epochs on another machine.
    """
    tables = spec.model_dump(mode="json", exclude_none=True)
    if spec.search_space is not None:
        tables["search_space"] = space_file_name(spec)
    length, epochs = spec.budget.length, spec.budget.epochs
    if length == "epochs":
        return _toml(tables)
    tables["budget"].pop("epochs", None)
    comment = f"  # {epochs} epoch{'' if epochs == 1 else 's'} of each trial" if epochs else ""
    return re.sub(rf"^{length} = .*$", rf"\g<0>{comment}", _toml(tables), count=1, flags=re.MULTILINE)


def _toml(tables: Mapping[str, Any]) -> str:
    """Format as TOML with short lists on one line; the library writes one element a line."""
    return _LIST.sub(_on_one_line, tomli_w.dumps(tables))


def _on_one_line(match: re.Match[str]) -> str:
    elements = ", ".join(line.strip().removesuffix(",") for line in match["elements"].splitlines())
    line = f"{match['start']}[{elements}]"
    return line if len(line) <= _LONGEST_LINE else match[0]


def _versions() -> dict[str, str]:
    versions = {"nas": nas.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _commit(folder: Path) -> str | None:
    """Commit of the git checkout with the package at its root; None for an installed package.

    A repository that merely contains the virtual environment does not count.
    """
    if not (folder.parent / ".git").exists():
        return None
    command = ["git", "-C", str(folder.parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None


def _devices(records: Sequence[TrialRecord]) -> tuple[DeviceUse, ...]:
    trained = [record for record in records if record.device is not None and record.reused_from is None]
    names = sorted({record.device or "" for record in trained})
    return tuple(
        DeviceUse(name, len(members), sum(member.train_seconds or 0.0 for member in members) / 3600)
        for name in names
        for members in [[record for record in trained if record.device == name]]
    )
