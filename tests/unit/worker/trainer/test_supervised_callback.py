from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.results.outcome import StopReason
from nas.training.checkpoints.checkpoint_file import CheckpointFolder
from nas.training.checkpoints.training_state import State
from nas.training.training_callback import TrainingPaused
from nas.worker.trainer import supervised_callback as watcher
from nas.worker.trainer.supervised_callback import SupervisedCallback
from nas.worker.trainer_messages import KeepAlive, Pause, Stop, TrainingNotice
from tests.clock import Clock


class _Rig:
    def __init__(self, folder: Path, clock: Clock, checkpoint_seconds: float) -> None:
        self.supervisor, trainer = multiprocessing.Pipe()
        self.clock = clock
        self.folder = CheckpointFolder(folder / "c", "1", "g")
        self.watcher = SupervisedCallback(trainer, self.folder, checkpoint_seconds)
        self.steps = 0

    def step(self, seconds: float) -> None:
        self.clock.now += seconds
        self.steps += 1
        self.watcher.after_step(self.steps, lambda: State({"t": torch.ones(2)}, {"step": self.steps}))

    def heard(self) -> list[Any]:
        messages = []
        while self.supervisor.poll():
            messages.append(self.supervisor.recv())
        return messages


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watcher, "time", clock)
    return clock


def test_it_says_once_a_second_that_it_lives_and_grants_ten_median_steps(tmp_path: Path, clock: Clock) -> None:
    rig = _Rig(tmp_path, clock, 1000.0)
    for _ in range(25):
        rig.step(0.1)
    assert rig.heard() == [KeepAlive(pytest.approx(1.0))] * 2
    rig.step(30.0)  # One slow step does not change the median.
    assert rig.heard() == [KeepAlive(pytest.approx(1.0))]
    rig.watcher.alive(3600.0)
    assert rig.heard() == [KeepAlive(3600.0)]
    clock.now += 1.0
    rig.watcher.alive()
    assert rig.heard() == [KeepAlive(pytest.approx(1.0))]


def test_a_checkpoint_is_kept_every_so_many_seconds(tmp_path: Path, clock: Clock) -> None:
    rig = _Rig(tmp_path, clock, 60.0)
    kept = []
    for _ in range(70):
        rig.step(2.0)
        state, _ = rig.folder.latest()
        kept.append(None if state is None else state.values["step"])
    assert kept == [None] * 29 + [30] * 30 + [60] * 11


def test_asked_to_pause_it_raises_after_the_step(tmp_path: Path, clock: Clock) -> None:
    rig = _Rig(tmp_path, clock, 1000.0)
    rig.step(1.0)
    rig.supervisor.send(Pause(keep=False))
    with pytest.raises(TrainingPaused):
        rig.step(1.0)
    assert not rig.watcher.keeps
    assert rig.watcher.stop is None


def test_ordered_to_stop_it_raises_after_the_step_and_has_the_order(tmp_path: Path, clock: Clock) -> None:
    rig = _Rig(tmp_path, clock, 1000.0)
    order = Stop(StopReason(4, 0.3, 7, 0.5))
    rig.supervisor.send(order)
    with pytest.raises(TrainingPaused):
        rig.step(1.0)
    assert rig.watcher.stop == order


def test_a_checkpoint_that_cannot_be_kept_is_said_and_ends_nothing(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "c").touch()
    rig = _Rig(tmp_path, clock, 1.0)
    rig.step(1.0)
    assert TrainingNotice("no checkpoint could be kept (File exists)") in rig.heard()
