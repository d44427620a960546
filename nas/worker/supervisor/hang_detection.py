"""How long a training child may be silent before it is taken to hang."""

from __future__ import annotations

import time

SHORTEST_SECONDS = 60.0
_LONGEST_WAIT_SECONDS = 1.0


class HangDetector:
    """Counts the seconds of silence, and says when they are too many.

    Only time in which this process was awake and listening counts: after a machine has slept, or a stopped process
    goes on, its child has had no chance to speak either.

    Args:
        shortest_seconds: Silence that is always granted.
    """

    def __init__(self, shortest_seconds: float = SHORTEST_SECONDS) -> None:
        self._shortest_seconds = self.granted_seconds = shortest_seconds
        self._silent_seconds = 0.0
        self._last_look = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the silence has lasted too long; to be asked at least once a second."""
        now = time.monotonic()
        self._silent_seconds += min(now - self._last_look, _LONGEST_WAIT_SECONDS)
        self._last_look = now
        return self._silent_seconds > self.granted_seconds

    def heard(self, grant_seconds: float | None = None) -> None:
        """The silence is over; the next one may last so long, or as long as the last, but never too short."""
        self._silent_seconds, self._last_look = 0.0, time.monotonic()
        if grant_seconds is not None:
            self.granted_seconds = max(self._shortest_seconds, grant_seconds)
