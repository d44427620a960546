"""Cache of compiled kernels that is damaged between two trainings: made anew, silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.figures import Figures, figures_of
from tests.integration.fleet import Fleet


def kernels(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.nb?") if path.is_file()]


@pytest.mark.faults
def test_damaged_kernels_are_compiled_again(fleet: Fleet) -> None:
    fleet.create(trials=2, epochs=2, deterministic=False, activation="silu")
    cache = fleet.folder / "kernels"
    fleet.environment["NUMBA_CACHE_DIR"] = str(cache)
    worker = fleet.start_worker()
    worker.wait_for("trial_ended", seconds=250)
    for place, path in enumerate(kernels(cache)):
        content = path.read_bytes()
        damaged = content[:-9] + bytes([content[-9] ^ 4]) + content[-8:]
        path.write_bytes((b"", content[: len(content) // 2], damaged)[place % 3])
    assert kernels(cache) != []
    if worker.is_running:
        worker.process.terminate()
        worker.process.wait(20)
    again = fleet.start_worker()
    assert figures_of(fleet, again, 250) == Figures(exit_code=0, trainings_lost=0, budget_spent=0)
    assert again.events("notice") == []
    assert [(row.state, row.reason, row.crashes) for row in fleet.rows()] == [("done", "completed", 0)] * 2
