"""Keeps the dashboard's figures and notes current while a search runs or the dashboard is served."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from optuna.exceptions import StorageInternalError
from optuna.storages._rdb.models import NOT_FOUND_MSG
from sqlalchemy.exc import SQLAlchemyError

import nas
from nas.errors import NasError
from nas.report.dashboard.optuna_dashboard import write_report
from nas.search.search_study import SearchStudy
from nas.search.storage.optuna_storage import Storage
from nas.search.storage.report_leases import ReportLease, ReportLeases

INTERVAL_SECONDS = 30.0
# Whoever asked a worker to leave kills it half a minute later at the latest.
_LAST_SECONDS = 10.0
_BETWEEN_TRIES_SECONDS = 0.2

# An outage, or a role that may not write: the next look may find it otherwise.
_PASSING = (NasError, SQLAlchemyError, StorageInternalError)


class Refresher:
    """A thread that rewrites reports of studies, with database connections of its own.

    Any number of processes may run one for the same study: one of them writes at a time, at most once an interval,
    and only when trials have ended since. It looks once more when it is left, however short ago the last time was.

    Args:
        connect: Opens the connections; called in the thread.
        names: Studies to look after; none given means all that there are.
        complain: Called with one line when it gives up, which no failure of the database makes it do.
        in_haste: Asked when it is left: whether there is no time for a last report.
    """

    def __init__(
        self,
        connect: Callable[[], Storage],
        names: Sequence[str] = (),
        *,
        complain: Callable[[str], None],
        in_haste: Callable[[], bool] = lambda: False,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._connect = connect
        self._names = names
        self._complain = complain
        self._in_haste = in_haste
        self._last: dict[str, ReportLease] = {}
        self._interval_seconds = interval_seconds
        self._storage: Storage | None = None
        self._studies: dict[str, SearchStudy] = {}
        self._stop = threading.Event()
        # It may be in a call that waits for a lost database, which must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="refresher", daemon=True)

    def __enter__(self) -> Refresher:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(0.0 if self._in_haste() else _LAST_SECONDS)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._look(final=False)
                # Oftener than reports are written, for the turn may be another's that has died.
                self._stop.wait(self._interval_seconds / 3)
            if not self._in_haste():
                self._look(final=True)
        except Exception as fault:  # the thread's boundary: figures are not worth a search
            self._complain(f"the dashboard's figures are no longer refreshed: {fault!r}")
        finally:
            if self._storage is not None:
                self._storage.close()

    def _look(self, *, final: bool) -> None:
        try:
            if self._storage is None:
                self._storage = self._connect()
            names = self._names or self._storage.study_names()
        except (*_PASSING, KeyError) as error:
            _require_passing(error)
            return
        for name in names:
            try:
                self._refresh(self._storage, name, final=final)
            except (*_PASSING, KeyError) as error:
                _require_passing(error)
                # It may have been deleted and made anew.
                self._studies.pop(name, None)

    def _refresh(self, storage: Storage, name: str, *, final: bool) -> None:
        """Rewrite the report of one study if it is out of date and this process's turn."""
        if name not in self._studies:
            self._studies[name] = SearchStudy.open(storage, name)
        study = self._studies[name]
        if study.spec.finals is not None:
            # What is drawn of a search would pass test scores off as a search's.
            return
        reports = ReportLeases(storage.rdb.engine)
        deadline = time.monotonic() + _LAST_SECONDS
        while reports.shown(name) != (state := _state(study)):
            claim = reports.claim(name, state, self._interval_seconds, last=self._last.get(name), final=final)
            if claim is not None:
                self._last[name] = claim
                write_report(study, study.records())
                reports.finish(claim, state)
                return
            if not final or time.monotonic() > deadline:
                return
            time.sleep(_BETWEEN_TRIES_SECONDS)


def _require_passing(error: Exception) -> None:
    """Raise what is a fault; a KeyError is none where it is optuna's answer for a study that was just deleted."""
    if isinstance(error, KeyError) and error.args[0] != NOT_FOUND_MSG:
        raise error


def _state(study: SearchStudy) -> str:
    """What a report depends on: the study itself, its trials that ended, and the program that draws it."""
    return f"{nas.__version__}:{study.study_id}:{study.count_finished()}"
