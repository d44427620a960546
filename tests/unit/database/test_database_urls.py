from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from nas.database.database_urls import masked_url, normalised_url, redact_secrets
from nas.errors import DatabaseError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://u:p%40@h1:5432,h2:5433/db?target_session_attrs=read-write",
            {
                "host": "h1,h2", "port": "5432,5433", "user": "u", "password": "p@", "dbname": "db",
                "target_session_attrs": "read-write",
            },
        ),
        ("postgresql://h1,h2/db", {"host": "h1,h2", "port": ",", "dbname": "db"}),
        ("postgresql:///?service=mine", {"service": "mine"}),
        (
            "postgresql:///db?host=/run/postgresql&sslmode=verify-full&passfile=/p",
            {"dbname": "db", "host": "/run/postgresql", "sslmode": "verify-full", "passfile": "/p"},
        ),
    ],
)  # fmt: skip
def test_urls_of_libpq_reach_it(url: str, expected: dict[str, str]) -> None:
    engine = create_engine(normalised_url(url))
    _, arguments = engine.dialect.create_connect_args(engine.url)
    arguments.pop("context")
    assert arguments == expected


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:p@h:5433/d?sslmode=require",
        "postgresql://u:p@h:5433/d?sslmode=require",
        "POSTGRESQL://u:p@h:5433/d?sslmode=require",
        "postgresql+psycopg2://u:p@h:5433/d?sslmode=require",
        " postgresql+psycopg://u:p@h:5433/d?sslmode=require\n",
    ],
)
def test_every_spelling_of_postgresql_becomes_the_same_url(url: str) -> None:
    assert normalised_url(url) == "postgresql+psycopg://u:p@h:5433/d?sslmode=require"


@pytest.mark.parametrize("url", ["sqlite:///study.db", "mysql://u:hunter2@h/d", "study.db", ""])
def test_another_database_is_refused_with_what_to_do(url: str) -> None:
    with pytest.raises(DatabaseError, match=r"PostgreSQL.*leave NAS_STORAGE unset") as caught:
        normalised_url(url)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("password", ["hun@ter2", "hun/ter2@", "12:hun@/ter2"])
def test_an_unescaped_password_is_refused_without_showing_it(password: str) -> None:
    with pytest.raises(DatabaseError, match="percent-encoded") as caught:
        normalised_url(f"postgresql://u:{password}@h/d")
    assert "hun" not in str(caught.value)
    assert "ter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_port_that_is_no_number_is_refused() -> None:
    with pytest.raises(DatabaseError, match="cannot be read"):
        normalised_url("postgresql://h:port/d")


@given(st.text(min_size=1, max_size=20))
def test_any_password_survives_normalising_and_none_is_shown(password: str) -> None:
    secret = f"hunter2{password}hunter2"
    try:
        url = f"postgres://u:{quote(secret, safe='')}@h/d"
    except UnicodeEncodeError:
        return  # lone surrogates cannot stand in a URL
    assert make_url(normalised_url(url)).password == secret
    assert "hunter2" not in masked_url(normalised_url(url))


def test_masked_hides_passwords_and_nothing_else() -> None:
    url = "postgresql+psycopg://u:p@h:5433/d?password=q&sslpassword=r&passfile=%2Ff&sslmode=require"
    expected = "postgresql+psycopg://u:***@h:5433/d?passfile=%2Ff&password=***&sslmode=require&sslpassword=***"
    assert masked_url(url) == expected


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///study.db", "sqlite:///study.db"),
        ("postgresql://h/d", "postgresql://h/d"),
        ("postgresql://u:a@b@h/d", "postgresql://***"),
        ("host=h password=p", "***"),
        ("", ""),
    ],
)
def test_masked_of_urls_without_or_with_unreadable_passwords(url: str, shown: str) -> None:
    assert masked_url(url) == shown


def test_a_drivers_text_becomes_one_line_without_secrets() -> None:
    url = "postgresql://u:hunter@h/d?sslpassword=hunter2"
    assert redact_secrets("failed:\n  hunter2,  hunter", url) == "failed: ***, ***"
