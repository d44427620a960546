"""Databases that are away or become read-only: waited for in whatever state a training is, up to a limit."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator

from sqlalchemy import text

from nas import database
from tests.faults.figures import Figures, figures_of
from tests.integration.fleet import Fleet


@contextlib.contextmanager
def read_only(fleet: Fleet) -> Iterator[None]:
    """Context manager in which every new transaction of the server is read-only."""
    engine = database.create_engine(fleet.url).execution_options(isolation_level="AUTOCOMMIT")

    def switch(value: str) -> None:
        with engine.connect() as connection:
            connection.execute(text("SET default_transaction_read_only = off"))
            connection.execute(text(f"ALTER SYSTEM SET default_transaction_read_only = {value}"))
            connection.execute(text("SELECT pg_reload_conf()"))

    try:
        switch("on")
        yield
    finally:
        switch("off")
        engine.dispose()


@contextlib.contextmanager
def stopped_server(fleet: Fleet) -> Iterator[None]:
    """Database server that is away."""
    fleet.stop_database(signal.SIGINT)
    try:
        yield
    finally:
        fleet.start_database()


def test_a_training_that_ends_on_a_read_only_database_is_recorded_later(fleet: Fleet) -> None:
    fleet.create(trials=2, epochs=150)
    worker = fleet.start_worker()
    worker.wait_for("epoch_ended", 3)
    with read_only(fleet):
        worker.wait_for("epoch_ended", 150)
        time.sleep(5.0)
        assert worker.is_running
        assert worker.events("trial_ended") == []
    assert figures_of(fleet, worker) == Figures(exit_code=0, trainings_lost=0, budget_spent=0)
    assert [(row.reason, row.crashes, row.attempt) for row in fleet.rows()] == [("completed", 0, 1)] * 2


def test_a_training_that_ends_without_a_database_is_kept_and_recorded_later(fleet: Fleet) -> None:
    """The server is away for longer than `[worker] patience`."""
    fleet.create(trials=1, epochs=80, patience=0.05)
    worker = fleet.start_worker()
    worker.wait_for("epoch_ended", 3)
    with stopped_server(fleet):
        assert worker.process.wait(90) == 1
    assert len(worker.events("epoch_ended")) == 80, "the training did not go on"
    assert "has been away for 3 s" in worker.error
    assert "the finished training is kept in" in worker.error
    again = fleet.start_worker()
    assert figures_of(fleet, again) == Figures(exit_code=0, trainings_lost=0, budget_spent=0)
    assert not again.events("epoch_ended"), "it was trained again"
    assert [(row.state, row.reason, row.crashes) for row in fleet.rows()] == [("done", "completed", 0)]


def test_a_shorter_outage_is_waited_for(fleet: Fleet) -> None:
    """The training ends while the server is away, for less than `[worker] patience`."""
    fleet.create(trials=1, epochs=80, patience=1.0)
    worker = fleet.start_worker()
    worker.wait_for("epoch_ended", 3)
    with stopped_server(fleet):
        worker.wait_for("epoch_ended", 80)
        time.sleep(5.0)
        assert worker.is_running
    assert figures_of(fleet, worker) == Figures(exit_code=0, trainings_lost=0, budget_spent=0)
    assert [(row.state, row.reason, row.attempt) for row in fleet.rows()] == [("done", "completed", 1)]
