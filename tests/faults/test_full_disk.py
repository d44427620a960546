"""Artifacts folder that fills while a training runs: the finished training is kept, and recorded once there is room."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.search.storage.trial_records import ELASTIC
from tests.faults.figures import NOTHING_LOST, Figures, figures_of
from tests.integration.fleet import Fleet
from tests.integration.test_shared_weights_faults import create_with_shared_weights


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


@pytest.mark.faults
@pytest.mark.parametrize("temporary_too", [False, True])
def test_shared_weights_whose_disk_fills_are_kept(
    fleet: Fleet, small_disk: Callable[..., Path], temporary_too: bool
) -> None:
    """An elastic network is trained once: its weights are kept in the home, and stored by the next worker.

    Args:
        temporary_too: The temporary folder, to which the training process writes the weights, is on the same disk.
    """
    create_with_shared_weights(fleet, epochs=15)
    folder = small_disk("artifacts", "8m")
    if temporary_too:
        (folder / "temporary").mkdir()
        fleet.environment["TMPDIR"] = str(folder / "temporary")
    worker = fleet.start_worker()
    # The first trial has one epoch; each later one is of the elastic training.
    worker.wait_for("epoch_ended", 3)
    fill(folder / "filler")
    assert worker.process.wait(120) == 1
    assert len(worker.events("epoch_ended")) == 16
    assert "weights cannot be kept in" in worker.error
    assert f"the finished training is kept in {fleet.folder / 'finished'}" in worker.error
    (folder / "filler").unlink()
    again = fleet.start_worker()
    again.process.wait(120)
    assert again.process.returncode == 0, again.error
    assert again.events("trial_resumed") == []
    (elastic,) = (record for record in fleet.study().records() if record.reason == ELASTIC)
    assert len(elastic.curve) == 15
    # Its slices are scored with the weights; what the second worker trains are the second trial's epochs.
    assert len(again.events("epoch_ended")) <= 2, "it was trained again"
    counts = fleet.slots.shared_counts()
    assert (counts.elastic_done, counts.inherited_done) == (1, 3)
    assert [row.state for row in fleet.rows()] == ["done"] * len(fleet.rows())
    assert [path for path in (fleet.folder / "finished").rglob("*") if path.is_file()] == []
