"""Normalisation of database URLs, and redaction of their secrets."""

from __future__ import annotations

import re

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from nas.errors import DatabaseError

_HIDDEN = "***"
_SEVERAL_HOSTS = re.compile(r"([\w+]+)://([^@/?]*@)?([^@/?]*,[^@/?]*)(?:/([^@?]*))?(?:\?(.*))?")
_SECRET_KEY = re.compile(r"pass(?!file)|pwd|secret|token", re.IGNORECASE)


def normalised_url(url: str) -> str:
    """Return the URL with the psycopg 3 driver.

    Args:
        url: `postgres://`, `postgresql://` or `postgresql+DRIVER://`; with several hosts, the first is used that
            answers and is what `target_session_attrs` asks for.

    Raises:
        DatabaseError: The URL is not a PostgreSQL URL, or cannot be parsed.
    """
    scheme = url.strip().partition("://")[0].lower()
    if scheme not in {"postgres", "postgresql"} and not scheme.startswith("postgresql+"):
        raise DatabaseError(
            f"NAS_STORAGE: {masked_url(url.strip()) or 'an empty value'} is not PostgreSQL, which nas needs; give "
            "postgresql://USER:PASSWORD@HOST/DATABASE, or leave NAS_STORAGE unset to use the embedded server"
        )
    parsed = _parse_or_none(_with_hosts_in_query(url.strip()))
    if parsed is None:
        # No cause is chained: a parser's message quotes the part it rejects, which may be the password.
        raise DatabaseError(
            f"NAS_STORAGE: {masked_url(url)} cannot be read as postgresql://USER:PASSWORD@HOST:PORT/DATABASE; "
            "write special characters of the password percent-encoded (@ as %40, / as %2F, : as %3A)"
        )
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def masked_url(url: str) -> str:
    """Return the URL with passwords hidden, in the user part and in query parameters.

    Only the scheme is shown of a URL that cannot be parsed, since the position of its password is unknown.
    """
    parsed = _parse_or_none(url)
    if parsed is None:
        scheme, separator, _ = url.partition("://")
        return f"{scheme}://{_HIDDEN}" if separator and re.fullmatch(r"[\w+.-]+", scheme) else _HIDDEN * bool(url)
    query = {key: _HIDDEN if _SECRET_KEY.search(key) else value for key, value in parsed.query.items()}
    shown = parsed.set(query=query).render_as_string(hide_password=True)
    return shown.replace("=%2A%2A%2A", f"={_HIDDEN}")


def redact_secrets(text: str, url: str) -> str:
    """Reduce a driver's message to one line without the secrets of `url`."""
    line = " ".join(text.split())
    parsed = _parse_or_none(url)
    if parsed is None:
        return line.replace(url, masked_url(url))
    secrets = [str(parsed.password or "")]
    for key, value in parsed.query.items():
        if _SECRET_KEY.search(key):
            secrets.extend([value] if isinstance(value, str) else value)
    # Longest first: replacing a short secret inside a longer one would leave parts of the longer one readable.
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        line = line.replace(secret, _HIDDEN)
    return line


def _with_hosts_in_query(url: str) -> str:
    """Move several hosts, separated by commas as libpq has it, to where SQLAlchemy expects them."""
    several = _SEVERAL_HOSTS.fullmatch(url)
    if several is None:
        return url
    scheme, user, hosts, database, query = several.groups(default="")
    options = [f"host={host}" for host in hosts.split(",")] + ([query] if query else [])
    return f"{scheme}://{user}/{database}?{'&'.join(options)}"


def _parse_or_none(url: str) -> URL | None:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return None
    # An unescaped `@` or `/` moves part of the password into the host or the database name.
    is_ambiguous = any("@" in (part or "") for part in (parsed.host, parsed.database))
    return None if is_ambiguous else parsed
