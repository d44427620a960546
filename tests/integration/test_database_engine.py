"""Choice of the database, and errors of an unreachable one."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from nas import database
from nas.errors import DatabaseError


def test_without_a_configured_url_the_embedded_server_is_started(server_home: Path) -> None:
    assert database.resolve_url(None, server_home) == database.start(server_home)
    assert database.resolve_url("postgres://u@h/d", server_home) == "postgresql+psycopg://u@h/d"


def test_a_reachable_database_passes(database_url: str) -> None:
    database.check_reachable(database_url)


def test_an_unreachable_database_is_one_line_without_the_password() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        port = bound.getsockname()[1]
        url = f"postgresql+psycopg://u:hunter2@127.0.0.1:{port}/d"
        with pytest.raises(DatabaseError, match=r"u:\*\*\*@127\.0\.0\.1.*efused") as caught:
            database.check_reachable(url)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_database_that_does_not_exist_is_one_line(database_url: str) -> None:
    url = make_url(database_url).set(database="hunter2", password="hunter2").render_as_string(hide_password=False)
    with pytest.raises(DatabaseError, match="does not exist") as caught:
        database.check_reachable(url)
    assert 'database "***" does not exist' in str(caught.value)


def test_an_option_the_driver_does_not_know_is_one_line(database_url: str) -> None:
    with pytest.raises(DatabaseError, match="nonsense"):
        database.check_reachable(f"{database_url}&nonsense=1")


def test_a_pool_recovers_from_a_restart_and_the_urls_options_win(engine: Engine, server_home: Path) -> None:
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW application_name")) == "nas"
    database.stop(server_home)
    database.start(server_home)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    named = database.create_engine(str(engine.url.update_query_dict({"application_name": "mine"})))
    with named.connect() as connection:
        assert connection.scalar(text("SHOW application_name")) == "mine"
    named.dispose()
