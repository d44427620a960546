"""Clocks that jump: leases have the database's time, and durations a clock that cannot be set."""

from __future__ import annotations

import pytest

from tests.faults.figures import Figures, figures_of
from tests.integration.fleet import Fleet

_JUMPING_CLOCK = """
import itertools, time

real, jumps = time.time, itertools.cycle((0, 86_400, -86_400))
time.time = lambda: real() + next(jumps)
"""


@pytest.mark.faults
def test_a_clock_that_jumps_by_a_day_in_every_process(fleet: Fleet) -> None:
    hook = fleet.folder / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(_JUMPING_CLOCK)
    fleet.create(trials=2, epochs=60)
    fleet.environment["PYTHONPATH"] = str(hook)
    workers = [fleet.start_worker() for _ in range(2)]
    for worker in workers:
        assert figures_of(fleet, worker) == Figures(exit_code=0, trainings_lost=0, budget_spent=0)
        assert worker.events("notice") == []
        assert all(0 < ended["seconds"] < 120 for ended in worker.events("trial_ended"))
    assert [(row.reason, row.attempt, row.crashes) for row in fleet.rows()] == [("completed", 1, 0)] * 2
