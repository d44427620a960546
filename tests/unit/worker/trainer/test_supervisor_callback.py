from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.results.learning_curve import EpochProgress
from nas.results.outcome import Dominated
from nas.training.checkpoints.checkpoint_file import CheckpointFolder
from nas.training.checkpoints.training_state import TrainingState
from nas.training.training_callback import TrainingPaused
from nas.worker.trainer import supervisor_callback as supervised_callback
from nas.worker.trainer.core_sharing import CoreShare
from nas.worker.trainer.supervisor_callback import SupervisedCallback
from nas.worker.trainer_messages import KeepAlive, Pause, Stop, TrainingNotice
from tests.clock import Clock


class _Harness:
    """Callback with a manual clock and the supervisor's end of the pipe."""

    def __init__(
        self, folder: Path, clock: Clock, checkpoint_seconds: float = 1000.0, core_share: CoreShare | None = None
    ) -> None:
        self.supervisor, trainer = multiprocessing.Pipe()
        self.clock = clock
        self.checkpoints = CheckpointFolder(folder / "c", "1", "g")
        self.callback = SupervisedCallback(trainer, self.checkpoints, checkpoint_seconds, core_share)
        self.steps = self.num_progress = 0

    def step(self, seconds: float) -> None:
        self.clock.now += seconds
        self.steps += 1
        self.callback.after_step(
            self.steps, lambda: TrainingState({"t": torch.ones(2)}, {"step": self.steps}), self.progress
        )

    def evaluate(self, seconds: float) -> None:
        """Evaluate one batch."""
        self.clock.now += seconds
        self.callback.keep_alive()

    def progress(self) -> EpochProgress:
        """Progress in epochs of ten steps."""
        self.num_progress += 1
        epoch, step = divmod(self.steps - 1, 10)
        return EpochProgress(epoch + 1, 5, step + 1, 10, 0.5, 100.0, seconds_left=200.0 - self.steps)

    def received(self) -> list[Any]:
        """Return the messages received since the last call, without progress."""
        return [message for message in self._received() if not isinstance(message, EpochProgress)]

    def received_progress(self) -> list[EpochProgress]:
        """Return the progress received since the last call."""
        return [message for message in self._received() if isinstance(message, EpochProgress)]

    def _received(self) -> list[Any]:
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
    request = Stop(Dominated(4, 0.3, 7, 0.5))
    harness.supervisor.send(request)
    with pytest.raises(TrainingPaused):
        harness.step(1.0)
    assert harness.callback.stop_request == request


def test_a_checkpoint_that_cannot_be_saved_is_reported_and_ends_nothing(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "c").touch()
    harness = _Harness(tmp_path, clock, 1.0)
    harness.step(1.0)
    assert TrainingNotice("no checkpoint could be kept (File exists)") in harness.received()


def test_progress_is_sent_every_five_seconds_and_computed_only_then(tmp_path: Path, clock: Clock) -> None:
    harness = _Harness(tmp_path, clock)
    for _ in range(40):
        harness.step(0.5)
    sent = harness.received_progress()
    assert [(one.epoch, one.step) for one in sent] == [(1, 10), (2, 10), (3, 10), (4, 10)]
    # On a GPU it waits for the device.
    assert harness.num_progress == len(sent)


def test_a_step_longer_than_the_interval_sends_its_progress(tmp_path: Path, clock: Clock) -> None:
    harness = _Harness(tmp_path, clock)
    for _ in range(3):
        harness.step(60.0)
    assert [one.step for one in harness.received_progress()] == [1, 2, 3]


def test_the_interval_can_be_changed(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised_callback, "_SECONDS_BETWEEN_PROGRESS", 0.0)
    harness = _Harness(tmp_path, clock)
    for _ in range(7):
        harness.step(0.01)
    assert [one.step for one in harness.received_progress()] == [1, 2, 3, 4, 5, 6, 7]


def test_progress_goes_on_during_an_evaluation(tmp_path: Path, clock: Clock) -> None:
    harness = _Harness(tmp_path, clock)
    for _ in range(10):
        harness.step(1.0)
    assert [one.is_evaluating for one in harness.received_progress()] == [False, False]
    for _ in range(12):
        harness.evaluate(1.0)
    sent = harness.received_progress()
    assert all(one.is_evaluating for one in sent)
    assert [(one.epoch, one.step) for one in sent] == [(1, 10), (1, 10)]
    assert sent[0].seconds_left == pytest.approx(190.0 - 4.0)
    assert sent[1].seconds_left == pytest.approx(190.0 - 9.0)
    for _ in range(5):
        harness.step(1.0)
    assert [(one.epoch, one.step, one.is_evaluating) for one in harness.received_progress()] == [(2, 3, False)]


def test_an_evaluation_after_a_short_epoch_is_that_of_its_epoch(tmp_path: Path, clock: Clock) -> None:
    """No progress is due in the steps of the first two epochs."""
    harness = _Harness(tmp_path, clock)
    sent = []
    for _ in range(2):
        for _ in range(10):
            harness.step(0.01)
        for _ in range(6):
            harness.evaluate(1.0)
        sent += harness.received_progress()
    assert [(one.epoch, one.step, one.is_evaluating) for one in sent] == [(1, 10, True), (2, 10, True)]


def test_the_time_left_is_never_negative(tmp_path: Path, clock: Clock) -> None:
    harness = _Harness(tmp_path, clock)
    harness.step(1.0)
    harness.evaluate(0.0)
    harness.evaluate(1000.0)
    assert [one.seconds_left for one in harness.received_progress()] == [0.0]


def test_without_a_step_there_is_no_progress(tmp_path: Path, clock: Clock) -> None:
    """Features of a frozen trunk are computed before the first step."""
    harness = _Harness(tmp_path, clock)
    for _ in range(20):
        harness.evaluate(1.0)
    assert harness.received_progress() == []


def test_a_notice_is_sent_as_one_line(tmp_path: Path, clock: Clock) -> None:
    harness = _Harness(tmp_path, clock)
    harness.callback.notify("eager steps")
    assert harness.received() == [TrainingNotice("eager steps")]


def test_the_share_of_the_cores_is_updated_after_each_step(tmp_path: Path, clock: Clock) -> None:
    class Counted(CoreShare):
        updates = 0

        def update(self) -> None:
            self.updates += 1

    share = Counted(1, 1, tmp_path)
    harness = _Harness(tmp_path, clock, core_share=share)
    for _ in range(3):
        harness.step(0.1)
    assert share.updates == 3
