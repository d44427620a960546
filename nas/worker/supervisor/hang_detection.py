"""Hang detection for the trainer process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

MIN_SILENCE_LIMIT_SECONDS = 60.0
_MAX_POLL_GAP_SECONDS = 1.0


class HangDetector:
    """Timer of the trainer's silence, with a limit in seconds.

    Only time in which this process ran and polled counts: while a machine sleeps or a process is stopped, the trainer
    cannot send messages either. Nor does time count in which the trainer alone is stopped by a signal.

    Args:
        min_silence_limit_seconds: Lower bound of the silence limit.
        is_stopped: True while a signal has stopped the trainer.
    """

    def __init__(
        self, min_silence_limit_seconds: float = MIN_SILENCE_LIMIT_SECONDS,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self._is_stopped = is_stopped
        self._min_silence_limit_seconds = self.silence_limit_seconds = min_silence_limit_seconds
        self._silent_seconds = 0.0
        self._last_poll = time.monotonic()

    @property
    def is_hanging(self) -> bool:
        """True if the silence has exceeded the limit; to be polled at least once a second."""
        now = time.monotonic()
        self._silent_seconds += min(now - self._last_poll, _MAX_POLL_GAP_SECONDS)
        self._last_poll = now
        if self._silent_seconds > _MAX_POLL_GAP_SECONDS and self._is_stopped():
            self._silent_seconds = 0.0
        return self._silent_seconds > self.silence_limit_seconds

    def reset(self, silence_limit_seconds: float | None = None) -> None:
        """Restart the timer after a message; a new limit is raised to the lower bound, None keeps the last one."""
        self._silent_seconds, self._last_poll = 0.0, time.monotonic()
        if silence_limit_seconds is not None:
            self.silence_limit_seconds = max(self._min_silence_limit_seconds, silence_limit_seconds)


def is_stopped(pid: int) -> bool:
    """Return True if a signal or a debugger has stopped a process; False also where the system does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    # The state follows the name, which is in parentheses and may contain some.
    return stat.rpartition(")")[2].split()[:1] in (["T"], ["t"])
