from __future__ import annotations

import pytest
from sqlalchemy.exc import OperationalError, ProgrammingError

from nas.errors import DatabaseError
from nas.search.storage.outage_retry import retried_through_outage, retry_through_outage

URL = "postgresql+psycopg://u:hunter2@h/d"
AWAY = OperationalError("SELECT 1", {}, Exception("server closed; password hunter2"))


class Flaky:
    """Callable that raises a given number of times, then returns."""

    def __init__(self, failures: int, error: Exception = AWAY) -> None:
        self.failures = failures
        self.error = error
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "answer"


def test_a_call_is_repeated_until_it_answers_with_growing_pauses() -> None:
    pauses: list[float] = []
    call = Flaky(failures=12)
    assert retry_through_outage(call, url=URL, sleep=pauses.append) == "answer"
    assert call.calls == 13
    for attempt, pause in enumerate(pauses):
        ceiling = min(0.1 * 2**attempt, 10.0)
        assert ceiling / 2 <= pause <= ceiling


def test_a_lasting_outage_is_one_line_without_the_password() -> None:
    with pytest.raises(DatabaseError, match="has been away for 0 s") as caught:
        retry_through_outage(Flaky(failures=10**9), url=URL, max_outage_seconds=0.05)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is AWAY


def test_a_method_waits_as_long_as_its_owner() -> None:
    class Owner:
        database_url, max_outage_seconds = URL, 0.05

        @retried_through_outage
        def read(self) -> None:
            raise AWAY

    with pytest.raises(DatabaseError, match="has been away for 0 s"):
        Owner().read()


def test_a_refused_statement_is_not_repeated() -> None:
    call = Flaky(failures=5, error=ProgrammingError("SELECT", {}, Exception("relation does not exist")))
    with pytest.raises(DatabaseError, match="relation does not exist"):
        retry_through_outage(call, url=URL)
    assert call.calls == 1


def test_other_errors_are_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        retry_through_outage(Flaky(failures=1, error=ZeroDivisionError()), url=URL)
