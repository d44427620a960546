"""Plugin modules of a study: their files, hashes and declared parts."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from nas.errors import StudyError
from nas.space.immutable_model import FrozenModel
from nas.space.plugin_parts import declare_family, declare_loss
from nas.study.plugin_objectives import CostWords, declare_objectives

_INSPECTION_SECONDS = 300
_INSPECT = "import sys; sys.path[:] = sys.argv[2:]; from nas.export.plugin_inspection import main; main(sys.argv[1])"

# Not strict, because JSON gives a list.
_Range = Annotated[tuple[float, float, float], Field(strict=False)]


class PluginSpec(FrozenModel):
    """Plugin module of a study, as it was when the study was created.

    Attributes:
        module: Name of the module.
        file: Absolute path of its file.
        sha256: SHA-256 of the file's content.
        losses: Its losses by name, each with the default, lowest and highest value of its parameters.
        families: Names of its block families.
        costs: Its costs by name, with their units.
        metrics: Names of its metrics.
    """

    module: str
    file: str
    sha256: str
    losses: dict[str, dict[str, _Range]] = Field(default_factory=dict)
    families: Annotated[tuple[str, ...], Field(strict=False)] = ()
    costs: Annotated[dict[str, CostWords], Field(exclude_if=lambda costs: not costs)] = Field(default_factory=dict)
    metrics: Annotated[tuple[str, ...], Field(strict=False, exclude_if=lambda metrics: not metrics)] = ()

    @model_validator(mode="after")
    def _declare(self) -> PluginSpec:
        self.declare()
        return self

    def declare(self) -> None:
        """Make the module's parts known to the search spaces and genomes of this process, without loading it.

        Raises:
            ValueError: Another part has the name.
        """
        for name, parameters in self.losses.items():
            declare_loss(name, parameters)
        for name in self.families:
            declare_family(name)
        declare_objectives(self.costs, self.metrics)

    def find(self) -> Path:
        """Return the module's file on this machine: where it was, or a module of its name that can be imported.

        Raises:
            StudyError: It is missing, or has changed.
        """
        path = Path(self.file)
        if not path.is_file():
            path = _importable(self.module) or path
        if not path.is_file():
            raise StudyError(
                f"plugin {self.module!r} is missing here: there is no {self.file}, and no module of that name can be "
                "imported; copy it, or add its folder to PYTHONPATH"
            )
        digest = _digest(path)
        if digest != self.sha256:
            raise StudyError(
                f"plugin {self.module!r}: {path} has changed since the study was created (SHA-256 "
                f"{self.sha256[:12]}… there, {digest[:12]}… here); restore it, or begin a study of another name"
            )
        return path


def inspect_plugins(modules: Iterable[Any], folder: Path) -> tuple[list[PluginSpec], list[str]]:
    """Find the plugin modules of a study file, and load and check them in a fresh process.

    Args:
        modules: Names of modules: files beside the study file, or importable modules.
        folder: Folder of the study file.

    Returns:
        The plugins, and one line for each fault.
    """
    paths: dict[str, Path] = {}
    faults: list[str] = []
    for module in modules:
        if not isinstance(module, str) or not all(part.isidentifier() for part in module.split(".")):
            faults.append(f"plugins: {module!r} is no name of a module; write my_losses for my_losses.py")
            continue
        beside = (folder / module.replace(".", "/")).with_suffix(".py").resolve()
        path = beside if beside.is_file() else _importable(module)
        if path is None:
            faults.append(f"plugins: {module}: there is no {beside}, and no module of that name can be imported")
        else:
            paths[module] = path
    found: list[PluginSpec] = []
    for (module, path), described in zip(paths.items(), _inspect(paths), strict=False):
        if "fault" in described:
            faults.append(f"plugins: {module}: {described['fault']}")
            continue
        try:
            found.append(PluginSpec(module=module, file=str(path), sha256=_digest(path), **described))
        except ValidationError as error:
            message = error.errors()[0]["msg"].removeprefix("Value error, ")
            faults.append(f"plugins: {module}: {message}")
    return found, faults


def _inspect(paths: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Return the declared parts, or the fault in one line, of each module up to one that ends the process."""
    if not paths:
        return []
    modules = json.dumps([(module, str(path)) for module, path in paths.items()])
    try:
        result = subprocess.run(
            [sys.executable, "-c", _INSPECT, modules, *sys.path],
            capture_output=True, text=True, timeout=_INSPECTION_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return [{"fault": f"its checks took more than {_INSPECTION_SECONDS} s"}]
    described = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    if len(described) < len(paths):
        error = (result.stderr.strip().splitlines() or [f"exit code {result.returncode}"])[-1]
        described.append({"fault": f"it ended the process that checked it: {error}"})
    return described


def _importable(module: str) -> Path | None:
    try:
        specification = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    if specification is None or specification.origin is None or not specification.origin.endswith(".py"):
        return None
    return Path(specification.origin).resolve()


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror or error})") from error
