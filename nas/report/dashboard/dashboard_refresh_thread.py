"""Background refresh of the dashboard's figures and notes."""

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
from nas.report.dashboard.study_figures_and_note import write_note, write_report
from nas.search.analysis.study_status import study_status
from nas.search.search_study import SearchStudy
from nas.search.storage.dashboard_leases import ReportLease, ReportLeases
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.slot_leases import Slots

INTERVAL_SECONDS = 30.0
# A worker that receives a stop signal is killed after half a minute at the latest.
_FINAL_REFRESH_SECONDS = 10.0
_RETRY_SECONDS = 0.2

# An outage or a read-only role: the next refresh may succeed.
_TRANSIENT_ERRORS = (NasError, SQLAlchemyError, StorageInternalError)


class ReportRefresher:
    """Thread that rewrites studies' figures and notes, with its own database connections.

    Several processes may refresh the same study. One of them writes at a time, at most once an interval, and only if
    trials have ended since. On exit of the context there is one more refresh, regardless of the interval.

    Args:
        connect: Factory of the database connections, called in the thread.
        names: Studies to refresh; empty means all.
        on_failure: Callback with one line of text if the thread ends with an error; database errors do not end it.
        skip_final_report: Evaluated on exit: True if there is no time for a final report.
        interval_seconds: Minimum time between two reports of a study.
    """

    def __init__(
        self,
        connect: Callable[[], Storage],
        names: Sequence[str] = (),
        *,
        on_failure: Callable[[str], None],
        skip_final_report: Callable[[], bool] = lambda: False,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._connect = connect
        self._names = names
        self._on_failure = on_failure
        self._skip_final_report = skip_final_report
        self._leases: dict[str, ReportLease] = {}
        self._interval_seconds = interval_seconds
        self._storage: Storage | None = None
        self._running: dict[str, list[str]] = {}
        self._studies: dict[str, SearchStudy] = {}
        self._stop = threading.Event()
        # Daemon: a call that waits for a lost database must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="refresher", daemon=True)

    def __enter__(self) -> ReportRefresher:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(0.0 if self._skip_final_report() else _FINAL_REFRESH_SECONDS)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._refresh_all(final=False)
                # More often than the interval, because the lease may belong to a process that has ended.
                self._stop.wait(self._interval_seconds / 3)
            if not self._skip_final_report():
                self._refresh_all(final=True)
        except Exception as error:  # the thread's boundary: a failed refresh must not end a search
            self._on_failure(f"the dashboard's figures are no longer refreshed: {error!r}")
        finally:
            if self._storage is not None:
                self._storage.close()

    def _refresh_all(self, *, final: bool) -> None:
        try:
            if self._storage is None:
                self._storage = self._connect()
            names = self._names or self._storage.study_names()
        except (*_TRANSIENT_ERRORS, KeyError) as error:
            _raise_unless_transient(error)
            return
        for name in names:
            try:
                self._refresh(self._storage, name, final=final)
            except (*_TRANSIENT_ERRORS, KeyError) as error:
                _raise_unless_transient(error)
                # The study may have been deleted and created again.
                self._studies.pop(name, None)

    def _refresh(self, storage: Storage, name: str, *, final: bool) -> None:
        """Rewrite the report of one study if it is out of date and this process obtains the lease."""
        if name not in self._studies:
            self._studies[name] = SearchStudy.open(storage, name)
        study = self._studies[name]
        if study.spec.finals is not None:
            # The figures of a search would present scores on test images as validation scores.
            return
        reports = ReportLeases(storage.rdb.engine)
        deadline = time.monotonic() + _FINAL_REFRESH_SECONDS
        while reports.reported_state(name) != (state := _report_state(study)):
            lease = reports.claim(name, state, self._interval_seconds, last=self._leases.get(name), final=final)
            if lease is not None:
                self._leases[name] = lease
                write_report(study, study.records())
                reports.finish(lease, state)
                return
            if not final or time.monotonic() > deadline:
                return
            time.sleep(_RETRY_SECONDS)
        self._refresh_progress(study)

    def _refresh_progress(self, study: SearchStudy) -> None:
        """Rewrite the note of a study whose trainings progress while its figures stay the same."""
        status = study_status(study, Slots(study.storage.rdb.engine, study.name))
        running = [f"{task}: {progress}" for task, progress in status.running.items()]
        if running != self._running.get(study.name, []):
            write_note(study, study.records(), running)
            self._running[study.name] = running


def _raise_unless_transient(error: Exception) -> None:
    """Raise the error again unless the next refresh may succeed.

    For a study that was just deleted, optuna raises a KeyError with `NOT_FOUND_MSG`.
    """
    if isinstance(error, KeyError) and error.args[0] != NOT_FOUND_MSG:
        raise error


def _report_state(study: SearchStudy) -> str:
    """Identifier of a report's inputs: program version, study and number of finished trials."""
    return f"{nas.__version__}:{study.study_id}:{study.count_finished()}"
