"""Retry of database calls through an outage, with exponential backoff and jitter."""

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

from nas.database.database_urls import masked_url, redact_secrets
from nas.errors import DatabaseError

DEFAULT_MAX_OUTAGE_SECONDS = 300.0
_FIRST_DELAY_SECONDS = 0.1
_LONGEST_DELAY_SECONDS = 10.0

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class UsesDatabase(Protocol):
    """Protocol of objects with a database URL, and the longest outage of the database that they wait for."""

    @property
    def database_url(self) -> str: ...

    @property
    def max_outage_seconds(self) -> float: ...


OwnerT = TypeVar("OwnerT", bound=UsesDatabase)


def retry_through_outage(
    call: Callable[[], Result],
    *,
    url: str,
    max_outage_seconds: float = DEFAULT_MAX_OUTAGE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """Call a function, with exponential backoff while the database is unreachable.

    Args:
        call: Must be safe to repeat: it is called again when the connection breaks after a commit but before its reply.
        url: Database URL for the error message, which hides its secrets.
        max_outage_seconds: Length of an outage after which it is raised.
        sleep: Called with seconds.

    Raises:
        DatabaseError: The outage lasted too long, or the call failed for another reason, which is not retried.

    Source: Brooker, "Exponential Backoff And Jitter", AWS, 2015; the pause is half fixed and half random, so
        that workers which lost the database together do not reconnect together.
    """
    deadline = time.monotonic() + max_outage_seconds
    max_delay = _FIRST_DELAY_SECONDS
    while True:
        try:
            return call()
        except (SQLAlchemyError, StorageInternalError) as raised:
            error, reason = _driver_error(raised, url)
            if not _is_transient(error):
                raise DatabaseError(f"the database {masked_url(url)} refused a statement: {reason}") from error
            seconds_left = deadline - time.monotonic()
            if seconds_left <= 0:
                raise DatabaseError(
                    f"the database {masked_url(url)} has been away for {max_outage_seconds:.0f} s: {reason}; "
                    "start it again, then run the same command: the study goes on where it stopped"
                ) from error
        sleep(min(seconds_left, max_delay * random.uniform(0.5, 1.0)))
        max_delay = min(2 * max_delay, _LONGEST_DELAY_SECONDS)


def retried_through_outage(
    method: Callable[Concatenate[OwnerT, Arguments], Result],
) -> Callable[Concatenate[OwnerT, Arguments], Result]:
    """Decorate a method with `retry_through_outage`; a trial that a lost call created is later recorded as failed."""

    @functools.wraps(method)
    def retried(owner: OwnerT, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return retry_through_outage(
            lambda: method(owner, *args, **kwargs), url=owner.database_url, max_outage_seconds=owner.max_outage_seconds
        )

    return retried


def _is_transient(error: Exception) -> bool:
    """Return True for errors that a retry may solve: no server, a restart, a broken or no free connection."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, OperationalError | InterfaceError | PoolTimeoutError)


@contextlib.contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Translate errors of SQLAlchemy and Optuna's storage into a `DatabaseError` of one line.

    Raises:
        DatabaseError: A statement in the context failed.
    """
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as raised:
        error, reason = _driver_error(raised, url)
        raise DatabaseError(f"the database {masked_url(url)} cannot be used: {reason}") from error


def _driver_error(raised: Exception, url: str) -> tuple[Exception, str]:
    """Return the driver's error, which Optuna wraps in most cases, and its text without secrets."""
    error = raised.__cause__ if isinstance(raised.__cause__, SQLAlchemyError) else raised
    return error, redact_secrets(str(getattr(error, "orig", None) or error).strip(), url)
