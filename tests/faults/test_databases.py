"""Databases that become read-only, as after a failover: waited for in whatever state a training is."""

from __future__ import annotations

import contextlib
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
