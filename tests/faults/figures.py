"""The three figures of a fault: trainings lost, budget spent, exit code."""

from __future__ import annotations

from dataclasses import dataclass

from tests.integration.fleet import Fleet, Worker


@dataclass(frozen=True)
class Figures:
    """Figures of one fault.

    Attributes:
        exit_code: Exit code of the worker.
        trainings_lost: Trials that failed, and crashes that were counted.
        budget_spent: Slots that are done without a result.
    """

    exit_code: int
    trainings_lost: int
    budget_spent: int


NOTHING_LOST = Figures(exit_code=1, trainings_lost=0, budget_spent=0)


def figures_of(fleet: Fleet, worker: Worker, seconds: float = 120.0) -> Figures:
    """Wait for the worker's end, print the figures and return them."""
    exit_code, rows = worker.process.wait(seconds), fleet.rows()
    failed = sum(record.state == "FAIL" for record in fleet.study().records())
    without_result = sum(row.state == "done" and row.reason not in ("completed", "reused") for row in rows)
    figures = Figures(exit_code, failed + sum(row.crashes for row in rows), without_result)
    print(f"\n{fleet.name}: {figures}; {worker.error}")
    assert all(row.owner is None for row in rows if row.state == "open"), "a lease is left"
    return figures
