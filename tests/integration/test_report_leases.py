"""Leases of report writers, on a real database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from optuna_dashboard._custom_plot_data import get_plotly_graph_objects
from sqlalchemy import Engine, text

from nas import database
from nas.report.dashboard.dashboard_refresh_thread import ReportRefresher
from nas.results.network_cost import Cost
from nas.search.create_study import create_study
from nas.search.storage.dashboard_leases import ReportLease, ReportLeases
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.sql_tables import create_missing_tables
from nas.search.trial_tells import TrialFiles
from tests.tiny_study import DATASET_SUMMARY, completed, tiny_spec

LONG = 60.0
SHORT = 0.15


@pytest.fixture
def reports(engine: Engine) -> ReportLeases:
    create_missing_tables(engine)
    return ReportLeases(engine)


def claimed(reports: ReportLeases, interval_seconds: float = LONG) -> ReportLease:
    claim = reports.claim("flowers", "a new state", interval_seconds)
    assert claim is not None
    return claim


def test_one_of_many_threads_may_write_also_the_first_time(reports: ReportLeases) -> None:
    ready = threading.Barrier(12)

    def work(_: int) -> ReportLease | None:
        ready.wait()
        return reports.claim("flowers", "a new state", LONG)

    for _round in range(2):
        with ThreadPoolExecutor(12) as pool:
            claims = list(pool.map(work, range(12)))
        assert len([claim for claim in claims if claim is not None]) == 1 - _round


def test_a_claim_lasts_for_its_interval_by_the_databases_clock(reports: ReportLeases, engine: Engine) -> None:
    claim = claimed(reports, 30.0)
    with engine.connect() as connection:
        now = connection.scalar(text("SELECT clock_timestamp()"))
    assert 25 < (claim.until - now).total_seconds() <= 30
    reports.finish(claim, "seven trials")
    assert reports.claim("flowers", "a new state", 30.0) is None
    assert reports.claim("other", "a new state", 30.0) is not None


def test_after_the_interval_another_may_write_also_after_a_lost_writer(reports: ReportLeases) -> None:
    claimed(reports, SHORT)
    assert reports.claim("flowers", "a new state", SHORT) is None
    time.sleep(2 * SHORT + 0.05)
    assert claimed(reports, SHORT).study == "flowers"


def test_the_last_writer_has_an_intervals_lead(reports: ReportLeases) -> None:
    last = claimed(reports, SHORT)
    time.sleep(SHORT + 0.02)
    assert reports.claim("flowers", "a new state", LONG) is None
    assert reports.claim("flowers", "a new state", LONG, last=last) is not None


def test_a_state_that_is_shown_is_not_written_again(reports: ReportLeases) -> None:
    reports.finish(claimed(reports, SHORT), "seven trials")
    assert reports.claim("flowers", "seven trials", LONG, final=True) is None
    assert reports.claim("flowers", "eight trials", LONG, final=True) is not None


def test_a_final_report_waits_for_a_writer_and_for_nothing_else(reports: ReportLeases) -> None:
    writing = claimed(reports)
    assert reports.claim("flowers", "a new state", LONG, final=True) is None
    reports.finish(writing, "seven trials")
    assert reports.claim("flowers", "a new state", LONG) is None
    assert reports.claim("flowers", "a new state", LONG, final=True) is not None


def test_what_is_shown_is_known_once_it_is_whole(reports: ReportLeases) -> None:
    assert reports.reported_state("flowers") is None
    claim = claimed(reports)
    assert reports.reported_state("flowers") is None
    reports.finish(claim, "seven trials")
    assert reports.reported_state("flowers") == "seven trials"


def test_a_writer_that_was_overtaken_leaves_no_report_that_passes_for_whole(reports: ReportLeases) -> None:
    slow = claimed(reports, SHORT)
    time.sleep(2 * SHORT + 0.05)
    fast = claimed(reports, SHORT)
    reports.finish(fast, "eight trials")
    reports.finish(slow, "seven trials")
    assert reports.reported_state("flowers") is None


class ReportedStudy:
    """Study with its report in the dashboard."""

    def __init__(self, connect: Callable[[], Storage], engine: Engine, folder: Path) -> None:
        create_missing_tables(engine)
        self._weights = folder / "weights"
        self._weights.write_bytes(b"w")
        self._connect = connect
        self.storage = connect()
        self.study = create_study(self.storage, tiny_spec(), DATASET_SUMMARY)
        self.failures: list[str] = []

    def refresher(self, *names: str, interval_seconds: float = LONG) -> ReportRefresher:
        return ReportRefresher(self._connect, names, on_failure=self.failures.append, interval_seconds=interval_seconds)

    def end_a_trial(self, macro_f1: float) -> None:
        opened = self.study.ask()
        cost = Cost(1_000 + opened.number, 2_000)
        self.study.record_genome(opened, cost)
        assert self.study.tell.completed(opened, completed(macro_f1), cost, TrialFiles(self._weights)) is not None

    @property
    def attributes(self) -> dict[str, object]:
        return self.storage.rdb.get_study_system_attrs(self.study.study_id)

    @property
    def version(self) -> object:
        """Number of times that the note was written."""
        return self.attributes.get("dashboard:note_ver", 0)

    def wait_for_version(self, version: int) -> None:
        deadline = time.monotonic() + 30
        while self.version != version:
            assert time.monotonic() < deadline, f"the note's version is {self.version}"
            time.sleep(0.05)


@pytest.fixture
def reported(connect: Callable[[], Storage], engine: Engine, tmp_path: Path) -> ReportedStudy:
    return ReportedStudy(connect, engine, tmp_path)


def test_figures_and_note_show_the_trials_that_ended_last(reported: ReportedStudy) -> None:
    with reported.refresher("tiny"):
        reported.wait_for_version(1)
        reported.end_a_trial(0.625)
    figures = get_plotly_graph_objects(reported.attributes)
    assert set(figures) == {"nas-front", "nas-hypervolume", "nas-curves", "nas-options"}
    assert "0.625" in figures["nas-front"]
    assert "0.6250" in str(reported.attributes["dashboard:note_str:0"])
    assert reported.version == 2
    assert not reported.failures


def test_nothing_is_written_when_no_trial_has_ended(reported: ReportedStudy) -> None:
    reported.end_a_trial(0.5)
    with reported.refresher("tiny"):
        pass
    before = reported.attributes
    for names in (("tiny",), ()):
        with reported.refresher(*names, interval_seconds=SHORT):
            time.sleep(3 * SHORT)
    assert reported.attributes == before


def test_nothing_is_written_again_before_the_interval_is_over(reported: ReportedStudy) -> None:
    with reported.refresher("tiny", interval_seconds=1.5):
        reported.wait_for_version(1)
        began = time.monotonic()
        reported.end_a_trial(0.5)
        reported.wait_for_version(2)
        # The first was claimed a little before it was written.
        assert time.monotonic() - began > 0.7


def test_one_of_many_that_end_at_once_writes(reported: ReportedStudy) -> None:
    refreshers = [reported.refresher("tiny") for _ in range(6)]
    for refresher in refreshers:
        refresher.__enter__()
    reported.wait_for_version(1)
    reported.end_a_trial(0.5)
    with ThreadPoolExecutor(6) as pool:
        # Exited at once, like the workers of a study whose budget is spent.
        list(pool.map(lambda refresher: refresher.__exit__(None, None, None), refreshers))
    assert reported.version == 2
    assert not reported.failures


def test_a_study_that_is_deleted_meanwhile_disturbs_nothing(reported: ReportedStudy) -> None:
    with reported.refresher(interval_seconds=SHORT):
        reported.wait_for_version(1)
        optuna.delete_study(study_name="tiny", storage=reported.storage.rdb)
        time.sleep(2 * SHORT)
    assert not reported.failures


def test_an_outage_is_ridden_out_and_leaving_it_takes_no_long_time(reported: ReportedStudy, server_home: Path) -> None:
    reported.end_a_trial(0.5)
    database.stop(server_home)
    try:
        began = time.monotonic()
        with reported.refresher("tiny", interval_seconds=SHORT):
            time.sleep(0.5)
        assert time.monotonic() - began < 20
        with reported.refresher("tiny", interval_seconds=SHORT):
            time.sleep(0.3)
            database.start(server_home)
            reported.storage.rdb.remove_session()
            reported.wait_for_version(1)
    finally:
        database.start(server_home)
    assert not reported.failures
