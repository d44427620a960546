"""Signals that a user's machine sends: a closed terminal, kills of the training process, Ctrl-Z."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.faults.figures import Figures, figures_of
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


@pytest.mark.faults
def test_time_in_which_the_machine_slept_is_no_training_time(fleet: Fleet) -> None:
    fleet.create(trials=1, epochs=300)
    worker = fleet.start_worker()
    worker.wait_for("epoch_ended", 20)
    started = time.monotonic()
    os.killpg(worker.process.pid, signal.SIGSTOP)
    trainer = worker.trainer()
    trainer.suspend()
    time.sleep(90)
    trainer.resume()
    os.killpg(worker.process.pid, signal.SIGCONT)
    slept = time.monotonic() - started
    assert figures_of(fleet, worker) == Figures(0, 0, 0)
    (ended,) = worker.events("trial_ended")
    whole = time.monotonic() - started
    assert ended["seconds"] < whole - slept + 30
