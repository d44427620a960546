"""A clock that a test turns by hand, in the place of the module `time`."""

from __future__ import annotations


class Clock:
    """Stands at `now`, in seconds, until a test moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now
