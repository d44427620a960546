from __future__ import annotations

import threading
import time
from datetime import datetime

import pytest

from nas.commands.progress.search_progress_thread import SearchProgressThread
from nas.errors import DatabaseError
from nas.search.analysis.search_progress import SearchProgress, search_progress
from nas.worker.progress_events import Event, SearchProgressed
from tests.tiny_study import tiny_spec
from tests.unit.search.examples import record

SHORT, LONG = 0.01, 60.0


@pytest.fixture
def progress() -> SearchProgress:
    return search_progress(tiny_spec(), [record(1, 0.5)], datetime(2024, 1, 1, 14), ())


class Reports:
    """Listener that counts the reports."""

    def __init__(self, expected: int) -> None:
        self.events: list[Event] = []
        self.failures: list[str] = []
        self.are_complete = threading.Event()
        self._expected = expected

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if len(self.events) == self._expected:
            self.are_complete.set()


def test_an_outage_costs_a_report_not_the_thread(progress: SearchProgress) -> None:
    outcomes = iter([True, False, True])
    reports = Reports(2)

    def read() -> SearchProgress:
        if next(outcomes, True):
            return progress
        raise DatabaseError("the database is away")

    with SearchProgressThread(read, reports, on_failure=reports.failures.append, interval_seconds=SHORT):
        assert reports.are_complete.wait(10)
    assert reports.events[:2] == [SearchProgressed(progress)] * 2
    assert reports.failures == []


@pytest.mark.parametrize(("at_once", "count"), [(True, 1), (False, 0)])
def test_the_first_report_comes_at_once_where_the_display_is_redrawn(
    progress: SearchProgress, at_once: bool, count: int
) -> None:
    reports = Reports(1)
    thread = SearchProgressThread(
        lambda: progress, reports, on_failure=reports.failures.append, interval_seconds=LONG, at_once=at_once
    )
    with thread:
        assert reports.are_complete.wait(10 if at_once else 0.1) is at_once
    assert len(reports.events) == count


def test_another_error_ends_the_thread_with_one_line() -> None:
    reports, failed = Reports(1), threading.Event()

    def read() -> SearchProgress:
        raise ValueError("a fault")

    def on_failure(text: str) -> None:
        reports.failures.append(text)
        failed.set()

    with SearchProgressThread(read, reports, on_failure=on_failure, interval_seconds=SHORT):
        assert failed.wait(10)
        time.sleep(5 * SHORT)
    assert reports.failures == ["the progress of the search is no longer shown: ValueError('a fault')"]


def test_a_read_that_hangs_delays_the_end_by_a_second_and_shows_nothing_later(progress: SearchProgress) -> None:
    reports, release = Reports(1), threading.Event()

    def read() -> SearchProgress:
        release.wait(30)
        return progress

    started = time.monotonic()
    with SearchProgressThread(read, reports, on_failure=reports.failures.append, interval_seconds=LONG, at_once=True):
        pass
    assert 0.5 < time.monotonic() - started < 10
    release.set()
    time.sleep(0.1)
    assert reports.events == []
