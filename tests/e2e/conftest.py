"""Command-line runs in separate processes, with a separate embedded database."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nas import database

SPACE = """
[architecture]
family = ["vgg", "resnet", "densenet", "mobilenet"]
num_stages = 2
stem_width = 8
depth = 1
width = { low = 8, high = 16, step = 4 }
growth_rate = [4, 8]
[recipe]
learning_rate = { low = 1e-3, high = 1e-2, log = true }
batch_size = 32
"""
STUDY = """
name = "tiny"
search_space = "space.toml"
[data]
source = "digits"
max_train_images = 100
max_validation_images = 60
[budget]
trials = 5
epochs = 1
"""


@dataclass
class Terminal:
    """Command line, run in a folder with study files."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        ours = {"NAS_HOME": str(self.folder / "home"), "NAS_DEVICE": "cpu", "NAS_SLOTS": "2", "OMP_NUM_THREADS": "1"}
        others = {key: value for key, value in os.environ.items() if not key.startswith(("NAS_", "PYTEST_"))}
        return {**others, "PYTHONPATH": os.pathsep.join(sys.path), **ours, **self.variables}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "nas", *arguments],
            cwd=self.folder, env=self.environment, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and check its exit code."""
        with self.start(*arguments) as process:
            try:
                output, errors = process.communicate(timeout=240)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        assert process.returncode == code, f"{arguments}: exit code {process.returncode}\n{output}\n{errors}"
        assert "Traceback" not in errors
        return subprocess.CompletedProcess(process.args, code, output, errors)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)

    def error(self, *arguments: str, code: int = 1) -> str:
        """Run a command that must fail; return its standard error. Standard output must be empty."""
        result = self.run(*arguments, code=code)
        assert result.stdout == ""
        if code == 1:
            assert result.stderr.startswith("error: ")
        return result.stderr

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return name


@pytest.fixture(scope="session")
def terminal() -> Iterator[Terminal]:
    """Folder and database server of the test session; the server starts once for all commands."""
    made = Terminal(Path(tempfile.mkdtemp(prefix="nas-e2e-")))
    made.write("space.toml", SPACE)
    made.write("study.toml", STUDY)
    home = made.folder / "home"
    database.start(home, keep_running=True)
    yield made
    database.stop(home)
    if os.geteuid() == 0:
        shutil.rmtree(database.data_directory(home).parent, ignore_errors=True)
    shutil.rmtree(made.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def new_machine() -> Iterator[Callable[[str], Terminal]]:
    """Factory of folders with a database of their own, as on other machines; they are removed at the end."""
    made: list[Terminal] = []

    def make(name: str) -> Terminal:
        made.append(Terminal(Path(tempfile.mkdtemp(prefix=f"nas-e2e-{name}-"))))
        database.start(made[-1].folder / "home", keep_running=True)
        return made[-1]

    yield make
    for machine in made:
        home = machine.folder / "home"
        database.stop(home)
        if os.geteuid() == 0:
            shutil.rmtree(database.data_directory(home).parent, ignore_errors=True)
        shutil.rmtree(machine.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def searched(terminal: Terminal) -> dict[str, Any]:
    """JSON output of the finished search `tiny`."""
    result: dict[str, Any] = terminal.json("search", "study.toml")
    return result
