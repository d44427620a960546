"""Study on its own database server, with real `nas worker` processes for fault injection."""

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
from nas.search.storage.database_and_artifact_storage import Storage
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
activation = "{activation}"
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
deterministic = {deterministic}
precision = "float32"
[early_stopping]
enabled = {early_stopping}
[worker]
patience = {patience}
"""


@dataclass
class Worker:
    """Process of `nas worker` with its JSON log."""

    process: subprocess.Popen[bytes]
    log: Path

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines(keepends=True) if self.log.exists() else []
        # The last line may be incomplete.
        events = [json.loads(line) for line in lines if line.endswith("\n") and line.startswith("{")]
        return [event for event in events if name is None or event["event"] == name]

    def trainer(self) -> psutil.Process:
        """Return its trainer process."""
        return max(psutil.Process(self.process.pid).children(), key=lambda process: process.memory_info().rss)

    def wait_for(self, name: str, count: int = 1, seconds: float = 60.0) -> dict[str, Any]:
        """Wait for the `count`-th event of a name and return it."""
        wait_until(
            lambda: len(self.events(name)) >= count, seconds, f"{count} {name} in {self.log.read_text()[-2000:]}"
        )
        return self.events(name)[count - 1]

    @property
    def error(self) -> str:
        """The line beside its JSON log; the test fails if there are several."""
        lines = [line for line in self.log.read_text().splitlines() if not line.startswith("{")]
        assert len(lines) <= 1, self.log.read_text()
        return "".join(lines)

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Fleet:
    """Workers, and the study that they search.

    Attributes:
        prefix: Command in which the next ones are started, such as `prlimit`.
    """

    folder: Path
    home: Path
    name: str
    environment: dict[str, str] = field(default_factory=dict)
    workers: list[Worker] = field(default_factory=list)
    storages: list[Storage] = field(default_factory=list)
    prefix: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.url = database.start(self.home)
        self._engine: Engine = database.create_engine(self.url)

    @property
    def slots(self) -> Slots:
        return Slots(self._engine, self.name)

    def study(self) -> SearchStudy:
        """Open the study; `close` closes its connections."""
        self.storages.append(Storage.connect(self.url, self.folder / "artifacts"))
        return SearchStudy.open(self.storages[-1], self.name)

    def write_study(
        self,
        *,
        trials: int,
        epochs: int,
        learning_rate: str = "{ low = 1e-3, high = 1e-2 }",
        early_stopping: bool = False,
        deterministic: bool = True,
        activation: str = "relu",
        patience: float = 5.0,
    ) -> None:
        """Write the files of the study and its search space."""
        (self.folder / f"{self.name}-space.toml").write_text(
            _SPACE.format(learning_rate=learning_rate, activation=activation)
        )
        file = self.folder / f"{self.name}.toml"
        flags = {"early_stopping": str(early_stopping).lower(), "deterministic": str(deterministic).lower()}
        file.write_text(_STUDY.format(name=self.name, trials=trials, epochs=epochs, patience=patience, **flags))

    def create(self, **study: Any) -> None:
        """Write the study's files and create it.

        Args:
            study: As in `write_study`.
        """
        self.write_study(**study)
        self.create_from_file()

    def create_from_file(self) -> None:
        """Create the study and finish its baseline's slot, since no test here needs ResNet-18."""
        process, log = self.start_command("create", f"{self.name}.toml")
        assert process.wait(120) == 0, log.read_text()
        lease = self.slots.claim("the test", 60.0, baseline_only=True)
        assert lease is not None
        self.slots.finish(lease, "not wanted")

    @property
    def environment_variables(self) -> dict[str, str]:
        settings = {
            "NAS_STORAGE": self.url, "NAS_HOME": str(self.folder), "NAS_DEVICE": "cpu", "NAS_SLOTS": "1",
            "NAS_LEASE_SECONDS": str(LEASE_SECONDS), "NAS_CHECKPOINT_SECONDS": "1", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        path = os.pathsep.join([self.environment.get("PYTHONPATH", ""), *sys.path])
        return {**os.environ, **settings, **self.environment, "PYTHONPATH": path}

    def start_worker(self) -> Worker:
        """Start one more worker."""
        self.workers.append(Worker(*self.start_command("worker", self.name, "--log-format", "json")))
        return self.workers[-1]

    def start_command(self, *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a command; return the process and its output file."""
        log = self.folder / f"process-{next(_numbers)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "nas", *arguments],
                stdout=output, stderr=subprocess.STDOUT, env=self.environment_variables, start_new_session=True,
                cwd=self.folder,
            )  # fmt: skip
        return process, log

    def wait_until_spent(self, seconds: float) -> None:
        """Wait until the workers have ended by themselves; assert that every slot is done."""
        for worker in self.workers:
            worker.process.wait(seconds)
        assert self.slots.seconds_until_claimable() is None

    def rows(self) -> list[Any]:
        with self._engine.connect() as connection:
            query = "SELECT * FROM nas_slots WHERE study = :study AND slot > 0 ORDER BY slot"
            return list(connection.execute(text(query), {"study": self.name}))

    def stop_database(self, number: int) -> None:
        """Stop the server with SIGINT (fast) or SIGQUIT (immediate, as in a crash)."""
        postmaster = int((database.data_directory(self.home) / "postmaster.pid").read_text().splitlines()[0])
        os.kill(postmaster, number)
        wait_until(lambda: not psutil.pid_exists(postmaster), 60.0, "the server to stop")

    def start_database(self) -> None:
        database.start(self.home)

    def close(self) -> None:
        self._engine.dispose()
        for storage in self.storages:
            storage.close()
        for worker in self.workers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.process.pid, signal.SIGKILL)
            worker.process.wait()


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.05)
