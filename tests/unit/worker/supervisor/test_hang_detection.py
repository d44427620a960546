from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from nas.worker.supervisor import hang_detection
from nas.worker.supervisor.hang_detection import HangDetector, is_stopped
from tests.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(hang_detection, "time", clock)
    return clock


def _hangs_after(seconds: int, detector: HangDetector, clock: Clock) -> bool:
    """Return the state after some seconds of silence, polled four times a second."""
    is_hanging = False
    for _ in range(4 * seconds):
        clock.now += 0.25
        is_hanging = detector.is_hanging
    return is_hanging


def test_a_longer_silence_than_the_minimum_limit_is_a_hang(clock: Clock) -> None:
    detector = HangDetector(60.0)
    assert not _hangs_after(60, detector, clock)
    assert _hangs_after(1, detector, clock)


def test_a_message_restarts_the_timer(clock: Clock) -> None:
    detector = HangDetector(60.0)
    assert not _hangs_after(59, detector, clock)
    detector.reset()
    assert not _hangs_after(59, detector, clock)


def test_a_limit_lasts_until_the_next_and_is_never_too_short(clock: Clock) -> None:
    detector = HangDetector(60.0)
    detector.reset(500.0)
    assert not _hangs_after(499, detector, clock)
    detector.reset()
    assert not _hangs_after(499, detector, clock)
    detector.reset(0.1)
    assert not _hangs_after(59, detector, clock)
    assert _hangs_after(2, detector, clock)


def test_time_asleep_is_no_silence(clock: Clock) -> None:
    detector = HangDetector(60.0)
    clock.now += 10_000.0
    assert not detector.is_hanging
    assert not _hangs_after(58, detector, clock)
    assert _hangs_after(2, detector, clock)


def test_time_in_which_the_trainer_is_stopped_is_no_silence(clock: Clock) -> None:
    is_stopped = False
    detector = HangDetector(60.0, lambda: is_stopped)
    assert not _hangs_after(50, detector, clock)
    is_stopped = True
    assert not _hangs_after(500, detector, clock)
    is_stopped = False
    assert not _hangs_after(58, detector, clock)
    assert _hangs_after(4, detector, clock)


def test_a_process_is_stopped_until_it_is_continued() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:

        def becomes(expected: bool) -> bool:
            deadline = time.monotonic() + 10
            while is_stopped(process.pid) != expected and time.monotonic() < deadline:
                time.sleep(0.01)
            return is_stopped(process.pid) == expected

        assert becomes(False)
        os.kill(process.pid, signal.SIGSTOP)
        assert becomes(True)
        os.kill(process.pid, signal.SIGCONT)
        assert becomes(False)
        process.kill()
    assert not is_stopped(process.pid)
