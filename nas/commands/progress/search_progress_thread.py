"""Background thread that reports the progress of a search at regular intervals."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from nas.errors import DatabaseError
from nas.search.analysis.search_progress import SearchProgress
from nas.worker.progress_events import Listener, SearchProgressed

_JOIN_SECONDS = 1.0


class SearchProgressThread:
    """Context manager of a thread that reads the progress of a search and passes it on.

    A report is left out while the database does not answer. The supervisors never wait for the thread.

    Args:
        read: Reads the progress from the database, without waiting for it in an outage.
        on_failure: Callback with one line of text if the thread ends with an error; database errors do not end it.
        interval_seconds: Time between two reports.
        at_once: True for a first report at the start, not after an interval.
    """

    def __init__(
        self,
        read: Callable[[], SearchProgress],
        listener: Listener,
        *,
        on_failure: Callable[[str], None],
        interval_seconds: float,
        at_once: bool = False,
    ) -> None:
        self._read, self._listener, self._on_failure = read, listener, on_failure
        self._interval_seconds, self._at_once = interval_seconds, at_once
        self._stop = threading.Event()
        # Daemon: a call that waits for a lost database must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="search-progress", daemon=True)

    def __enter__(self) -> SearchProgressThread:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        try:
            if self._at_once:
                self._report()
            while not self._stop.wait(self._interval_seconds):
                self._report()
        except Exception as error:  # the thread's boundary: a failed report must not end a search
            self._on_failure(f"the progress of the search is no longer shown: {error!r}")

    def _report(self) -> None:
        try:
            progress = self._read()
        except DatabaseError:
            return
        if not self._stop.is_set():
            self._listener(SearchProgressed(progress))
