"""Lease heartbeat: a thread that renews a lease until it is stopped or the lease is lost."""

from __future__ import annotations

import threading
from types import TracebackType

from nas.errors import DatabaseError
from nas.search.storage.slot_leases import Lease, Slots

_MAX_SECONDS_BETWEEN_BEATS = 20.0


class Heartbeat:
    """Context manager that renews a lease three times per lease duration, and at least every 20 s.

    A renewal that fails in an outage is repeated at the next beat; the lease is lost only when the database assigns it
    to another owner.

    Attributes:
        progress: Progress of the work in one line, stored with the next renewal.
    """

    def __init__(self, slots: Slots, lease: Lease, lease_seconds: float) -> None:
        self._slots = slots
        self._lease = lease
        self._lease_seconds = lease_seconds
        self.progress: str | None = None
        self._stop = threading.Event()
        self._lease_lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat-{lease.slot}", daemon=True)

    @property
    def lease_lost(self) -> bool:
        """True if another owner has the slot."""
        return self._lease_lost.is_set()

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(min(self._lease_seconds / 3, _MAX_SECONDS_BETWEEN_BEATS)):
            try:
                if not self._slots.renew(self._lease, self._lease_seconds, progress=self.progress):
                    self._lease_lost.set()
                    return
            except DatabaseError:
                continue
