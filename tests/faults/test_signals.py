"""Signals that a user's machine sends: a closed terminal, kills of the training process, Ctrl-Z."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.faults.figures import Figures, figures_of
from tests.faults.terminal import Terminal
from tests.integration.fleet import Fleet


def temporary_folders(fleet: Fleet) -> list[Path]:
    return list(Path(fleet.environment["TMPDIR"]).glob("nas-*/"))


def test_a_closed_terminal_pauses_like_ctrl_c(fleet: Fleet) -> None:
    """SIGHUP reaches supervisor and training process."""
    fleet.create(trials=1, epochs=400)
    fleet.environment["TMPDIR"] = str(fleet.folder / "tmp")
    (fleet.folder / "tmp").mkdir()
    worker = fleet.start_worker()
    worker.wait_for("epoch_ended", 20)
    os.killpg(worker.process.pid, signal.SIGHUP)
    assert figures_of(fleet, worker, 15) == Figures(exit_code=0, trainings_lost=0, budget_spent=0)
    assert len(worker.events("trial_paused")) == 1
    assert [path for path in temporary_folders(fleet) if path.name != "nas-trainings"] == []
    again = fleet.start_worker()
    again.wait_for("trial_resumed")
    assert figures_of(fleet, again) == Figures(0, 0, 0)


def test_kills_of_the_training_process_are_no_crashes(fleet: Fleet) -> None:
    """As many as a genome may crash; in a row without an epoch they end the worker (`test_machine_faults.py`)."""
    fleet.create(trials=1, epochs=4000)
    worker = fleet.start_worker()
    for count in (1, 2, 3):
        worker.wait_for("epoch_ended", len(worker.events("epoch_ended")) + 2)
        worker.trainer().kill()
        worker.wait_for("notice", count)
        assert worker.events("notice")[-1]["text"].endswith("it goes on from its last checkpoint")
    os.killpg(worker.process.pid, signal.SIGTERM)
    assert figures_of(fleet, worker) == Figures(exit_code=0, trainings_lost=0, budget_spent=0)
    assert [(row.state, row.crashes) for row in fleet.rows()] == [("open", 0)]


@pytest.fixture
def terminal() -> Iterator[Callable[[Fleet], Terminal]]:
    """Factory of terminals, in each of which a worker runs; skipped without bash."""
    if shutil.which("bash") is None:
        pytest.skip("no bash to press Ctrl-Z in")
    opened: list[Terminal] = []

    def open_terminal(fleet: Fleet) -> Terminal:
        opened.append(Terminal(fleet))
        return opened[-1]

    yield open_terminal
    for one in opened:
        one.close()


def logged_at(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()


@pytest.mark.parametrize("seconds", [8.0, pytest.param(90.0, marks=pytest.mark.faults)])
def test_time_after_ctrl_z_is_no_training_time(
    fleet: Fleet, terminal: Callable[[Fleet], Terminal], seconds: float
) -> None:
    """The time is longer than the lease, which nobody else wants."""
    fleet.create(trials=1, epochs=100)
    opened = terminal(fleet)
    worker = opened.worker
    worker.wait_for("epoch_ended", 5)
    opened.suspend()
    before, started = len(worker.events("epoch_ended")), time.monotonic()
    time.sleep(seconds)
    assert len(worker.events("epoch_ended")) == before
    slept = time.monotonic() - started
    opened.resume()
    assert opened.exit_code() == 0
    assert [worker.events(name) for name in ("notice", "trial_paused")] == [[], []]
    (ended,) = worker.events("trial_ended")
    assert ended["seconds"] < logged_at(ended) - logged_at(worker.wait_for("trial_started")) - slept + 0.5
    assert [(row.reason, row.attempt, row.crashes) for row in fleet.rows()] == [("completed", 1, 0)]


@pytest.mark.faults
def test_a_trial_that_another_worker_took_after_ctrl_z_is_dropped(
    fleet: Fleet, terminal: Callable[[Fleet], Terminal]
) -> None:
    fleet.create(trials=1, epochs=200)
    opened = terminal(fleet)
    opened.worker.wait_for("epoch_ended", 5)
    opened.suspend()
    other = fleet.start_worker()
    other.wait_for("trial_started")
    opened.resume()
    assert opened.exit_code() == 0
    assert [event["text"] for event in opened.worker.events("notice")] == ["the lease was lost; its result is dropped"]
    assert figures_of(fleet, other) == Figures(0, 0, 0)
    assert [(row.reason, row.attempt, row.crashes) for row in fleet.rows()] == [("completed", 2, 0)]
