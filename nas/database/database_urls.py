"""Database URLs: which are accepted, and how they are shown without their secrets."""

from __future__ import annotations

import re

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from nas.errors import DatabaseError

_HIDDEN = "***"
_SECRET_KEY = re.compile(r"pass(?!file)|pwd|secret|token", re.IGNORECASE)


def normalised(url: str) -> str:
    """The same database through the driver that `nas` uses, psycopg 3.

    Args:
        url: `postgres://`, `postgresql://` or `postgresql+DRIVER://`.

    Raises:
        DatabaseError: The URL is of another database, or cannot be understood.
    """
    scheme = url.strip().partition("://")[0].lower()
    if scheme not in {"postgres", "postgresql"} and not scheme.startswith("postgresql+"):
        raise DatabaseError(
            f"NAS_STORAGE: {masked(url.strip()) or 'an empty value'} is not PostgreSQL, which nas needs; give "
            "postgresql://USER:PASSWORD@HOST/DATABASE, or leave NAS_STORAGE unset to use the embedded server"
        )
    parsed = _parsed(url.strip())
    if parsed is None:
        # No cause is chained: a parser's message quotes the part it stumbled on, which may be the password.
        raise DatabaseError(
            f"NAS_STORAGE: {masked(url)} cannot be read as postgresql://USER:PASSWORD@HOST:PORT/DATABASE; "
            "write special characters of the password percent-encoded (@ as %40, / as %2F, : as %3A)"
        )
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def masked(url: str) -> str:
    """The URL with its password hidden, in the user part and in query parameters.

    Of a URL that cannot be parsed only the scheme is shown: where its password starts is then unknown.
    """
    parsed = _parsed(url)
    if parsed is None:
        scheme, separator, _ = url.partition("://")
        return f"{scheme}://{_HIDDEN}" if separator and re.fullmatch(r"[\w+.-]+", scheme) else _HIDDEN * bool(url)
    query = {key: _HIDDEN if _SECRET_KEY.search(key) else value for key, value in parsed.query.items()}
    shown = parsed.set(query=query).render_as_string(hide_password=True)
    return shown.replace("=%2A%2A%2A", f"={_HIDDEN}")


def without_secrets(text: str, url: str) -> str:
    """A driver's message as one line in which the secrets of `url` do not appear."""
    line = " ".join(text.split())
    parsed = _parsed(url)
    if parsed is None:
        return line.replace(url, masked(url))
    secrets = [str(parsed.password or "")]
    for key, value in parsed.query.items():
        if _SECRET_KEY.search(key):
            secrets.extend([value] if isinstance(value, str) else value)
    # Longest first: hiding a short secret inside a longer one would leave the longer one's ends readable.
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        line = line.replace(secret, _HIDDEN)
    return line


def _parsed(url: str) -> URL | None:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return None
    # An unescaped `@` or `/` in a password moves its tail into the host or its head into the user's place.
    odd = any("@" in (part or "") for part in (parsed.host, parsed.database))
    return None if odd else parsed
