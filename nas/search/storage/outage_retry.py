"""Repeating a database call until an outage is over."""

from __future__ import annotations

import contextlib
import functools
import random
import time
from collections.abc import Callable, Iterator
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from nas.database.database_urls import masked, without_secrets
from nas.errors import DatabaseError

DEFAULT_PATIENCE_SECONDS = 300.0
_FIRST_DELAY_SECONDS = 0.1
_LONGEST_DELAY_SECONDS = 10.0

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class OnDatabase(Protocol):
    """Works on a database."""

    @property
    def database_url(self) -> str: ...


OwnerT = TypeVar("OwnerT", bound=OnDatabase)


def retry_through_outage(
    call: Callable[[], Result],
    *,
    url: str,
    patience_seconds: float = DEFAULT_PATIENCE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """Call, and call again with growing pauses while the database is away.

    Args:
        call: Must be safe to repeat: when the connection breaks after a commit but before its answer, it has
            happened and is called again.
        url: Of the database, for the message; its secrets are hidden.
        patience_seconds: After so long without an answer the outage is reported.
        sleep: Called with seconds.

    Raises:
        DatabaseError: The database stayed away, or refused the call for another reason, which is not repeated.

    Source: Brooker, "Exponential Backoff And Jitter", AWS, 2015; the pause is half fixed and half random, so
        that workers which lost the database together do not come back together.
    """
    deadline = time.monotonic() + patience_seconds
    ceiling = _FIRST_DELAY_SECONDS
    while True:
        try:
            return call()
        except (SQLAlchemyError, StorageInternalError) as raised:
            error, reason = _cause(raised, url)
            if not _is_outage(error):
                raise DatabaseError(f"the database {masked(url)} refused a statement: {reason}") from error
            left = deadline - time.monotonic()
            if left <= 0:
                raise DatabaseError(
                    f"the database {masked(url)} has been away for {patience_seconds:.0f} s: {reason}; "
                    "start it again, then run the same command: the study goes on where it stopped"
                ) from error
        sleep(min(left, ceiling * random.uniform(0.5, 1.0)))
        ceiling = min(2 * ceiling, _LONGEST_DELAY_SECONDS)


def through_outages(
    method: Callable[Concatenate[OwnerT, Arguments], Result],
) -> Callable[Concatenate[OwnerT, Arguments], Result]:
    """Call a method again until the database is back; a trial that was begun for nothing is failed in the end."""

    @functools.wraps(method)
    def repeated(owner: OwnerT, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return retry_through_outage(lambda: method(owner, *args, **kwargs), url=owner.database_url)

    return repeated


def _is_outage(error: Exception) -> bool:
    """Whether the call may succeed later as it is: no server, a restart, a broken connection, no free connection."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, OperationalError | InterfaceError | PoolTimeoutError)


@contextlib.contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn what the database or optuna's storage raises into one line.

    Raises:
        DatabaseError: The statements inside failed.
    """
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as raised:
        error, reason = _cause(raised, url)
        raise DatabaseError(f"the database {masked(url)} cannot be used: {reason}") from error


def _cause(raised: Exception, url: str) -> tuple[Exception, str]:
    """The driver's error, which optuna wraps mostly but not always, and its text without secrets."""
    error = raised.__cause__ if isinstance(raised.__cause__, SQLAlchemyError) else raised
    return error, without_secrets(str(getattr(error, "orig", None) or error).strip(), url)
