from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.results.outcome import StopReason
from nas.training.checkpoints.checkpoint_file import CheckpointFolder
from nas.training.checkpoints.training_state import TrainingState
from nas.training.training_callback import TrainingPaused
from nas.worker.trainer import supervisor_callback as supervised_callback
from nas.worker.trainer.supervisor_callback import SupervisedCallback
from nas.worker.trainer_messages import KeepAlive, Pause, Stop, TrainingNotice
from tests.clock import Clock


class _Harness:
    """Callback with a manual clock and the supervisor's end of the pipe."""

    def __init__(self, folder: Path, clock: Clock, checkpoint_seconds: float) -> None:
        self.supervisor, trainer = multiprocessing.Pipe()
        self.clock = clock
        self.checkpoints = CheckpointFolder(folder / "c", "1", "g")
        self.callback = SupervisedCallback(trainer, self.checkpoints, checkpoint_seconds)
        self.steps = 0

    def step(self, seconds: float) -> None:
        self.clock.now += seconds
        self.steps += 1
        self.callback.after_step(self.steps, lambda: TrainingState({"t": torch.ones(2)}, {"step": self.steps}))

    def received(self) -> list[Any]:
        messages = []
        while self.supervisor.poll():
            messages.append(self.supervisor.recv())
        return messages


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(supervised_callback, "time", clock)
    return clock


def test_keep_alives_are_sent_once_a_second_with_a_limit_of_ten_median_steps(tmp_path: Path, clock: Clock) -> None:
    harness = _Harness(tmp_path, clock, 1000.0)
    for _ in range(25):
        harness.step(0.1)
    assert harness.received() == [KeepAlive(pytest.approx(1.0))] * 2
    harness.step(30.0)  # One slow step does not change the median.
    assert harness.received() == [KeepAlive(pytest.approx(1.0))]
    harness.callback.keep_alive(3600.0)
    assert harness.received() == [KeepAlive(3600.0)]
    clock.now += 1.0
    harness.callback.keep_alive()
    assert harness.received() == [KeepAlive(pytest.approx(1.0))]


def test_a_checkpoint_is_saved_at_every_interval(tmp_path: Path, clock: Clock) -> None:
    harness = _Harness(tmp_path, clock, 60.0)
    kept = []
    for _ in range(70):
        harness.step(2.0)
        state, _ = harness.checkpoints.latest()
        kept.append(None if state is None else state.values["step"])
    assert kept == [None] * 29 + [30] * 30 + [60] * 11


def test_a_pause_request_raises_after_the_step(tmp_path: Path, clock: Clock) -> None:
    harness = _Harness(tmp_path, clock, 1000.0)
    harness.step(1.0)
    harness.supervisor.send(Pause(save_checkpoint=False))
    with pytest.raises(TrainingPaused):
        harness.step(1.0)
    assert not harness.callback.save_on_pause
    assert harness.callback.stop_request is None


def test_a_stop_request_raises_after_the_step_and_is_kept(tmp_path: Path, clock: Clock) -> None:
    harness = _Harness(tmp_path, clock, 1000.0)
    request = Stop(StopReason(4, 0.3, 7, 0.5))
    harness.supervisor.send(request)
    with pytest.raises(TrainingPaused):
        harness.step(1.0)
    assert harness.callback.stop_request == request


def test_a_checkpoint_that_cannot_be_saved_is_reported_and_ends_nothing(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "c").touch()
    harness = _Harness(tmp_path, clock, 1.0)
    harness.step(1.0)
    assert TrainingNotice("no checkpoint could be kept (File exists)") in harness.received()
