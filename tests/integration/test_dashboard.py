"""`nas dashboard --read-only` with a database role that may do nothing but read."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError

from nas import database
from nas.report.dashboard.study_figures_and_note import write_report
from nas.search.create_study import create_study
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.sql_tables import create_missing_tables
from tests.tiny_study import DATASET_SUMMARY, tiny_spec

COMMAND = [sys.executable, "-m", "nas", "dashboard"]


@pytest.fixture
def reader_url(database_url: str, engine: Engine) -> Iterator[str]:
    """URL of the test's database for a role that may read present and future tables."""
    role = make_url(database_url).database + "_reader"  # type: ignore[operator]
    with engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(text(f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {role}"))
    yield make_url(database_url).set(username=role).render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(text(f"DROP OWNED BY {role} CASCADE"))
        connection.execute(text(f"DROP ROLE {role}"))


@contextmanager
def served(url: str, folder: Path, *options: str) -> Iterator[str]:
    """Run the dashboard; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*COMMAND, "--port", str(port), *options]
    with subprocess.Popen(command, cwd=folder, env=_environment(url), stderr=subprocess.PIPE, text=True) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address)
            yield address
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors, errors
    assert process.returncode == 130


def _environment(url: str) -> dict[str, str]:
    others = {key: value for key, value in os.environ.items() if not key.startswith("NAS_")}
    return {**others, "PYTHONPATH": os.pathsep.join(sys.path), "NAS_STORAGE": url}


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(address, timeout=10).close()
            return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def answer(address: str, method: str = "GET") -> tuple[int, bytes]:
    request = urllib.request.Request(address, method=method, data=b"{}" if method != "GET" else None)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def contents(engine: Engine) -> dict[str, list[str]]:
    """Return every row of every table."""
    with engine.connect() as connection:
        return {
            table: sorted(str(tuple(row)) for row in connection.execute(text(f'SELECT * FROM "{table}"')))
            for table in inspect(connection).get_table_names()
        }


def test_a_role_that_only_reads_is_enough_and_nothing_is_written(
    reader_url: str, connect: Callable[[], Storage], engine: Engine, tmp_path: Path
) -> None:
    create_missing_tables(engine)
    study = create_study(connect(), tiny_spec(), DATASET_SUMMARY)
    write_report(study, study.records())
    before = contents(engine)
    reader = database.create_engine(reader_url)
    with pytest.raises(ProgrammingError, match="permission denied"), reader.begin() as connection:
        connection.execute(text("DELETE FROM studies"))
    reader.dispose()
    with served(reader_url, tmp_path, "--read-only") as address:
        assert b"<html" in answer(f"{address}/dashboard")[1].lower()
        status, body = answer(f"{address}/api/studies/{study.study_id}")
        detail = json.loads(body)
        assert status == 200
        assert {figure["id"] for figure in detail["plotly_graph_objects"]} >= {"nas-front", "nas-options"}
        assert detail["note"]["body"].startswith("# tiny")
        for method in ("DELETE", "POST", "PUT"):
            assert answer(f"{address}/api/studies/{study.study_id}", method)[0] == 403, method
    assert contents(engine) == before


def test_read_only_refuses_changes_that_the_role_would_allow(
    database_url: str, connect: Callable[[], Storage], engine: Engine, tmp_path: Path
) -> None:
    create_missing_tables(engine)
    study = create_study(connect(), tiny_spec(), DATASET_SUMMARY)
    before = contents(engine)
    with served(database_url, tmp_path, "--read-only") as address:
        assert answer(f"{address}/api/studies/{study.study_id}", "DELETE")[0] == 403
        assert answer(f"{address}/api/studies")[0] == 200
    assert contents(engine) == before


def test_without_the_option_the_dashboard_writes_the_reports_itself(
    database_url: str, connect: Callable[[], Storage], tmp_path: Path
) -> None:
    study = create_study(connect(), tiny_spec(), DATASET_SUMMARY)
    with served(database_url, tmp_path) as address:
        deadline = time.monotonic() + 30
        while not json.loads(answer(f"{address}/api/studies/{study.study_id}")[1])["plotly_graph_objects"]:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_an_empty_database_is_left_empty_and_explained(database_url: str, engine: Engine, tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--read-only"], cwd=tmp_path, env=_environment(database_url), capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.strip() == "error: the database has no studies yet; create one with: nas search FILE"
    assert contents(engine) == {}
