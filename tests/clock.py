"""Manual clock for tests, a replacement of the module `time`."""

from __future__ import annotations


class Clock:
    """Clock with a time `now`, in seconds, set by the test."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def perf_counter(self) -> float:
        return self.now

    def process_time(self) -> float:
        """Processor time of a process that is never suspended."""
        return self.now
