"""Artifacts folder that fills while a training runs: the finished training is kept, and recorded once there is room."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from tests.faults.figures import NOTHING_LOST, Figures, figures_of
from tests.integration.fleet import Fleet


def fill(path: Path) -> None:
    """Fill the file system of a path."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(10_000))


def test_artifacts_that_fill_during_the_training(fleet: Fleet, small_disk: Callable[..., Path]) -> None:
    """The finished training is kept elsewhere, and recorded without a second one once there is room."""
    fleet.create(trials=1, epochs=300)
    folder = small_disk("artifacts", "8m")
    worker = fleet.start_worker()
    worker.wait_for("epoch_ended", 3)
    filler = folder / "filler"
    fill(filler)
    assert figures_of(fleet, worker) == NOTHING_LOST
    assert "weights cannot be kept in" in worker.error
    assert "the finished training is kept in" in worker.error
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["filler"], "a partial file was left"
    filler.unlink()
    again = fleet.start_worker()
    assert figures_of(fleet, again) == Figures(0, 0, 0)
    assert not again.events("epoch_ended"), "it was trained again"
    assert [(row.state, row.reason) for row in fleet.rows()] == [("done", "completed")]
