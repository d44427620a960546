"""Full, small and forbidden folders: refused before the training by name, nothing charged, the same command goes on."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.figures import Figures, figures_of
from tests.integration.fleet import Fleet

NOTHING_LOST = Figures(exit_code=1, trainings_lost=0, budget_spent=0)


def goes_on(fleet: Fleet, trials: int) -> None:
    """Assert that a worker without the fault completes every trial, each at its first training."""
    worker = fleet.start_worker()
    assert worker.process.wait(120) == 0, worker.log.read_text()
    assert [(row.state, row.reason, row.crashes) for row in fleet.rows()] == [("done", "completed", 0)] * trials


@pytest.mark.parametrize("size", ["8k", "900k"])
def test_a_small_temporary_folder(fleet: Fleet, small_disk: Callable[..., Path], size: str) -> None:
    fleet.create(trials=1, epochs=2)
    temporary = small_disk("tmp", size)
    fleet.environment["TMPDIR"] = str(temporary)
    worker = fleet.start_worker()
    assert figures_of(fleet, worker) == NOTHING_LOST
    assert worker.error.startswith(f"error: the temporary folder {temporary}: 1 MB are needed")
    assert worker.error.endswith("make room, or set TMPDIR")
    del fleet.environment["TMPDIR"]
    goes_on(fleet, 1)


def test_an_artifacts_folder_without_room(fleet: Fleet, small_disk: Callable[..., Path]) -> None:
    fleet.create(trials=1, epochs=2)
    fleet.environment["NAS_ARTIFACTS"] = str(small_disk("small", "500k"))
    worker = fleet.start_worker()
    assert figures_of(fleet, worker) == NOTHING_LOST
    assert "the artifacts folder" in worker.error
    assert worker.error.endswith("make room, or set NAS_ARTIFACTS")


def test_an_artifacts_folder_without_inodes(fleet: Fleet, small_disk: Callable[..., Path]) -> None:
    fleet.create(trials=1, epochs=2)
    folder = small_disk("inodes", "50m", "nr_inodes=2")
    (folder / "last").touch()
    fleet.environment["NAS_ARTIFACTS"] = str(folder)
    worker = fleet.start_worker()
    assert figures_of(fleet, worker) == NOTHING_LOST
    assert "no further files fit on its file system (no inodes)" in worker.error


def test_an_artifacts_folder_that_is_read_only(fleet: Fleet, small_disk: Callable[..., Path]) -> None:
    fleet.create(trials=1, epochs=2)
    folder = small_disk("read-only", "50m")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    fleet.environment["NAS_ARTIFACTS"] = str(folder)
    worker = fleet.start_worker()
    assert figures_of(fleet, worker) == NOTHING_LOST
    assert f"the artifacts folder {folder}: cannot be read and written by this user" in worker.error


def test_a_limit_of_the_size_of_files(fleet: Fleet) -> None:
    fleet.create(trials=1, epochs=2)
    fleet.file_size_limit = 100_000
    worker = fleet.start_worker()
    assert figures_of(fleet, worker) == NOTHING_LOST
    assert "files may have 100 kB here (ulimit -f), 1 MB are needed; raise the limit" in worker.error
    fleet.file_size_limit = resource.RLIM_INFINITY
    goes_on(fleet, 1)


def test_artifacts_that_fill_during_the_training(fleet: Fleet, small_disk: Callable[..., Path]) -> None:
    """The finished training is kept elsewhere, and recorded without a second one once there is room."""
    fleet.create(trials=1, epochs=300)
    folder = small_disk("artifacts", "8m")
    worker = fleet.start_worker()
    worker.wait_for("epoch_ended", 3)
    filler = folder / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(9_000_000))
    assert figures_of(fleet, worker) == NOTHING_LOST
    assert "weights cannot be kept in" in worker.error
    assert "the finished training is kept in" in worker.error
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["filler"], "a partial file was left"
    filler.unlink()
    again = fleet.start_worker()
    assert again.process.wait(60) == 0
    assert not again.events("epoch_ended"), "it was trained again"
    assert [(row.state, row.reason, row.crashes) for row in fleet.rows()] == [("done", "completed", 0)]
