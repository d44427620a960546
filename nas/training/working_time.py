"""Stopwatch of a training, without the time in which its process was suspended."""

from __future__ import annotations

import time

_SUSPENDED_SECONDS = 5.0
_SUSPENDED_SHARE = 0.1


class WorkingTime:
    """Stopwatch that runs from its construction.

    A process that is stopped (Ctrl-Z, SIGSTOP, a frozen container) uses no processor while the clock goes on. The clock
    itself stands still while the machine sleeps.
    """

    def __init__(self) -> None:
        self._last = time.perf_counter(), time.process_time()

    def lap(self) -> float:
        """Return the seconds since the last call, or since the construction.

        Of a lap in which the process was suspended, since it used hardly any processor, only that time counts.
        """
        now = time.perf_counter(), time.process_time()
        passed, worked = now[0] - self._last[0], now[1] - self._last[1]
        self._last = now
        return worked if passed > _SUSPENDED_SECONDS and worked < _SUSPENDED_SHARE * passed else passed
