from __future__ import annotations

import pytest

from nas.worker.supervisor import hang_detection as patience
from nas.worker.supervisor.hang_detection import HangDetector
from tests.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(patience, "time", clock)
    return clock


def _silent_for(seconds: int, waiting: HangDetector, clock: Clock) -> bool:
    """Whether patience is over after so many seconds, looked at four times in each."""
    over = False
    for _ in range(4 * seconds):
        clock.now += 0.25
        over = waiting.is_over
    return over


def test_silence_is_over_after_the_shortest_patience(clock: Clock) -> None:
    waiting = HangDetector(60.0)
    assert not _silent_for(60, waiting, clock)
    assert _silent_for(1, waiting, clock)


def test_a_word_begins_the_silence_anew(clock: Clock) -> None:
    waiting = HangDetector(60.0)
    assert not _silent_for(59, waiting, clock)
    waiting.heard()
    assert not _silent_for(59, waiting, clock)


def test_a_grant_lasts_until_the_next_and_is_never_too_short(clock: Clock) -> None:
    waiting = HangDetector(60.0)
    waiting.heard(500.0)
    assert not _silent_for(499, waiting, clock)
    waiting.heard()
    assert not _silent_for(499, waiting, clock)
    waiting.heard(0.1)
    assert not _silent_for(59, waiting, clock)
    assert _silent_for(2, waiting, clock)


def test_time_asleep_is_no_silence(clock: Clock) -> None:
    waiting = HangDetector(60.0)
    clock.now += 10_000.0
    assert not waiting.is_over
    assert not _silent_for(58, waiting, clock)
    assert _silent_for(2, waiting, clock)
