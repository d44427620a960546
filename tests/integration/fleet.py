"""A study on a database server of its own, and real `nas worker` processes that a test may do anything to."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine, text

from nas import database
from nas.search.search_study import SearchStudy
from nas.search.storage.optuna_storage import Storage
from nas.search.storage.slot_leases import Slots

LEASE_SECONDS = 3.0
_numbers = itertools.count()

_SPACE = """
[architecture]
family = "vgg"
num_stages = 2
stem_width = 8
depth = 1
width = 8
dropout_head = 0.2
[recipe]
learning_rate = {learning_rate}
batch_size = 32
"""
_STUDY = """
name = "{name}"
search_space = "{name}-space.toml"
[data]
source = "digits"
max_train_images = 100
max_validation_images = 60
[budget]
trials = {trials}
epochs = {epochs}
[training]
deterministic = true
precision = "float32"
[early_stopping]
enabled = {early_stopping}
"""


@dataclass
class Worker:
    """One process, and what it has logged so far."""

    process: subprocess.Popen[bytes]
    log: Path

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines(keepends=True) if self.log.exists() else []
        # The last line may be half written.
        events = [json.loads(line) for line in lines if line.endswith("\n") and line.startswith("{")]
        return [event for event in events if name is None or event["event"] == name]

    def child(self) -> psutil.Process:
        """Its trainer."""
        return max(psutil.Process(self.process.pid).children(), key=lambda process: process.memory_info().rss)

    def wait_for(self, name: str, count: int = 1, seconds: float = 60.0) -> dict[str, Any]:
        """The so-manieth event of a name."""
        until(lambda: len(self.events(name)) >= count, seconds, f"{count} {name} in {self.log.read_text()[-2000:]}")
        return self.events(name)[count - 1]

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Fleet:
    """The processes, and the study they work on."""

    folder: Path
    home: Path
    name: str
    environment: dict[str, str] = field(default_factory=dict)
    hired: list[Worker] = field(default_factory=list)
    storages: list[Storage] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.url = database.start(self.home)
        self._engine: Engine = database.create_engine(self.url)

    @property
    def slots(self) -> Slots:
        return Slots(self._engine, self.name)

    def study(self) -> SearchStudy:
        """The study; its connections are closed in the end."""
        self.storages.append(Storage.connect(self.url, self.folder / "artifacts"))
        return SearchStudy.open(self.storages[-1], self.name)

    def write_study(
        self,
        *,
        trials: int,
        epochs: int,
        learning_rate: str = "{ low = 1e-3, high = 1e-2 }",
        early_stopping: bool = False,
    ) -> None:
        """The study's files."""
        (self.folder / f"{self.name}-space.toml").write_text(_SPACE.format(learning_rate=learning_rate))
        file = self.folder / f"{self.name}.toml"
        stopping = str(early_stopping).lower()
        file.write_text(_STUDY.format(name=self.name, trials=trials, epochs=epochs, early_stopping=stopping))

    def create(self, **study: Any) -> None:
        """Make the study, its baseline's slot closed: ResNet-18 is in no test's interest here.

        Args:
            study: As in `write_study`.
        """
        self.write_study(**study)
        process, log = self.start("create", f"{self.name}.toml")
        assert process.wait(120) == 0, log.read_text()
        lease = self.slots.claim("the test", 60.0, baseline_only=True)
        assert lease is not None
        self.slots.finish(lease, "not wanted")

    @property
    def variables(self) -> dict[str, str]:
        ours = {
            "NAS_STORAGE": self.url, "NAS_HOME": str(self.folder), "NAS_DEVICE": "cpu", "NAS_SLOTS": "1",
            "NAS_LEASE_SECONDS": str(LEASE_SECONDS), "NAS_CHECKPOINT_SECONDS": "1", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        path = os.pathsep.join([self.environment.get("PYTHONPATH", ""), *sys.path])
        return {**os.environ, **ours, **self.environment, "PYTHONPATH": path}

    def hire(self) -> Worker:
        """Start one more worker."""
        self.hired.append(Worker(*self.start("worker", self.name, "--log-format", "json")))
        return self.hired[-1]

    def start(self, *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a command; returns the process and the file of its output."""
        log = self.folder / f"process-{next(_numbers)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "nas", *arguments],
                stdout=output, stderr=subprocess.STDOUT, env=self.variables, start_new_session=True, cwd=self.folder,
            )  # fmt: skip
        return process, log

    def wait_until_spent(self, seconds: float) -> None:
        """Wait for the workers that are left to end by themselves, and see that nothing is left to do."""
        for worker in self.hired:
            worker.process.wait(seconds)
        assert self.slots.seconds_until_claimable() is None

    def rows(self) -> list[Any]:
        with self._engine.connect() as connection:
            query = "SELECT * FROM nas_slots WHERE study = :study AND slot > 0 ORDER BY slot"
            return list(connection.execute(text(query), {"study": self.name}))

    def halt_database(self, number: int) -> None:
        """SIGINT: fast; SIGQUIT: immediate, as a crash."""
        postmaster = int((database.data_directory(self.home) / "postmaster.pid").read_text().splitlines()[0])
        os.kill(postmaster, number)
        until(lambda: not psutil.pid_exists(postmaster), 60.0, "the server to stop")

    def start_database(self) -> None:
        database.start(self.home)

    def disband(self) -> None:
        self._engine.dispose()
        for storage in self.storages:
            storage.close()
        for worker in self.hired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.process.pid, signal.SIGKILL)
            worker.process.wait()


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.05)
