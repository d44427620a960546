"""Keeping a lease: a thread that renews it until it is told to stop or the lease is lost."""

from __future__ import annotations

import threading
from types import TracebackType

from nas.errors import DatabaseError
from nas.search.storage.slot_leases import Lease, Slots


class Heartbeat:
    """Renews a lease three times in its length, for as long as the `with` block runs.

    A beat that fails because the database is away is tried again at the next; the lease is lost only when the
    database says that someone else has it.
    """

    def __init__(self, slots: Slots, lease: Lease, lease_seconds: float) -> None:
        self._slots = slots
        self._lease = lease
        self._lease_seconds = lease_seconds
        self._stop = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat-{lease.slot}", daemon=True)

    @property
    def lost(self) -> bool:
        """Whether someone else has the slot now."""
        return self._lost.is_set()

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self._lease_seconds / 3):
            try:
                if not self._slots.renew(self._lease, self._lease_seconds):
                    self._lost.set()
                    return
            except DatabaseError:
                continue
