"""Progress of a real worker's training, in its log and in `nas status`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.fleet import Fleet, wait_until


@pytest.fixture
def fleet(server_home: Path, tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, server_home, f"progress-{os.getpid()}-{time.time_ns()}")
    yield fleet
    fleet.close()


def _status(fleet: Fleet, *options: str) -> str:
    process, log = fleet.start_command("status", fleet.name, *options)
    assert process.wait(120) == 0, log.read_text()
    return log.read_text()


def test_a_running_training_is_shown(fleet: Fleet) -> None:
    fleet.create(trials=1, epochs=10**6)
    assert json.loads(_status(fleet, "--json"))["running"] == {}
    worker = fleet.start_worker()
    logged = worker.wait_for("epoch_progress", 2)
    assert (logged["slot"], logged["epochs"], logged["num_steps"], logged["is_evaluating"]) == (1, 10**6, 4, False)
    assert 1 <= logged["step"] <= 4
    assert logged["loss"] > 0
    assert logged["images_per_second"] > 0
    assert logged["seconds_left"] > 60
    first = worker.events("epoch_progress")[0]
    assert logged["epoch"] > first["epoch"]
    wait_until(lambda: fleet.slots.owners()[0].progress is not None, 20.0, "the next renewal of the lease")
    status = json.loads(_status(fleet, "--json"))
    assert list(status["running"]) == ["slot 1"]
    assert status["running"]["slot 1"].startswith("epoch ")
    assert "/1000000, batch " in status["running"]["slot 1"]
    assert " left" in status["running"]["slot 1"]
    (line,) = [line for line in _status(fleet).splitlines() if "slot 1" in line and "batch" in line]
    assert "images/s" in line
    worker.kill()
    wait_until(lambda: fleet.slots.owners() == [], 20.0, "the end of the lease")
    assert json.loads(_status(fleet, "--json"))["running"] == {}
