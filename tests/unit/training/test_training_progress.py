"""Progress inside epochs: its numbers in a training, and its part of a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nas.data.sampling.samplers import ShuffleSampler
from nas.results.learning_curve import EpochProgress, EpochRecord
from nas.space.recipe import Recipe
from nas.study.final_runs import ValidationChoices
from nas.training import training_loop, working_time
from nas.training.checkpoints.training_state import TrainingState
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.training_callback import TrainingPaused
from nas.training.training_inputs import TrainingPlan
from nas.training.training_loop import TrainingLoop
from nas.training.training_progress import TrainingProgress
from tests.clock import Clock
from tests.unit.training.examples import CPU, digits_task, small_network

STEP_SECONDS, EVALUATION_SECONDS = 0.25, 3.0
NUM_TRAIN, BATCH, NUM_STEPS, EPOCHS = 70, 10, 7, 4


@pytest.mark.parametrize("in_evaluation", [False, True])
@pytest.mark.parametrize(("worked", "counted"), [(0.2, 1.2), (89.0, 91.0)])
def test_time_in_which_the_process_was_suspended_is_left_out(
    monkeypatch: pytest.MonkeyPatch, worked: float, counted: float, in_evaluation: bool
) -> None:
    """One second of training, then 90 s in which the process had so many seconds of the processor."""

    class Times(Clock):
        used = 0.0

        def process_time(self) -> float:
            return self.used

    clock = Times()
    monkeypatch.setattr(working_time, "time", clock)
    progress = TrainingProgress(torch.zeros(3))
    with progress.timed():
        clock.now, clock.used = clock.now + 1.0, 1.0
        progress.record_step(torch.tensor(0.5))
        clock.now, clock.used = clock.now + 90.0, 1.0 + worked
        if not in_evaluation:
            progress.record_step(torch.tensor(0.5))
    assert progress.seconds == pytest.approx(counted)


class _Timed(nn.Module):
    """Network whose passes take a given time: one pass for each step, and one for each evaluation."""

    def __init__(self, pass_time: Callable[[float], None]) -> None:
        super().__init__()
        self.network = small_network()
        self._pass_time = pass_time

    def forward(self, images_NCHW: Tensor) -> Tensor:
        self._pass_time(STEP_SECONDS if self.training else EVALUATION_SECONDS)
        logits_NK: Tensor = self.network(images_NCHW)
        return logits_NK


class _Recorder:
    """Callback that records the progress after each step, at the time of the step; it may pause."""

    def __init__(self, now: Callable[[], float], pause_at: int = 10**6) -> None:
        self.progress: list[EpochProgress] = []
        self.times: list[float] = []
        self.in_evaluation: list[EpochProgress] = []
        self._now, self._pause_at = now, pause_at
        self._latest: Callable[[], EpochProgress] | None = None

    def after_step(
        self, num_steps: int, state: Callable[[], TrainingState], progress: Callable[[], EpochProgress]
    ) -> None:
        self.progress.append(progress())
        self.times.append(self._now())
        self._latest = progress
        if num_steps == self._pause_at:
            raise TrainingPaused

    def keep_alive(self, silence_limit_seconds: float = 0.0) -> None:
        assert self._latest is not None
        self.in_evaluation.append(self._latest())

    def notify(self, text: str) -> None:
        raise AssertionError(text)


def _loop(callback: _Recorder, network: nn.Module, plan: TrainingPlan) -> TrainingLoop:
    task = digits_task(NUM_TRAIN, 60)
    return TrainingLoop(network, Recipe(batch_size=BATCH), task, plan, ShuffleSampler(NUM_TRAIN, 0), CPU, callback)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(training_loop, "time", clock)
    monkeypatch.setattr(working_time, "time", clock)
    return clock


def _advance(clock: Clock) -> Callable[[float], None]:
    def advance(seconds: float) -> None:
        clock.now += seconds

    return advance


def test_the_numbers_are_those_of_the_training(clock: Clock) -> None:
    callback, records = _Recorder(clock.perf_counter), list[EpochRecord]()
    _loop(callback, _Timed(_advance(clock)), TrainingPlan(EPOCHS, 0)).run(records.append)
    progress = callback.progress
    assert [(one.epoch, one.step) for one in progress] == [
        (epoch, step) for epoch in range(1, EPOCHS + 1) for step in range(1, NUM_STEPS + 1)
    ]
    assert {(one.epochs, one.num_steps, one.is_evaluating) for one in progress} == {(EPOCHS, NUM_STEPS, False)}
    assert [one.loss for one in progress[NUM_STEPS - 1 :: NUM_STEPS]] == [record.train_loss for record in records]
    assert progress[0].loss != progress[1].loss
    assert {round(one.images_per_second, 6) for one in progress} == {BATCH / STEP_SECONDS}


def test_the_time_left_is_exact_once_an_evaluation_was_timed(clock: Clock) -> None:
    callback = _Recorder(clock.perf_counter)
    _loop(callback, _Timed(_advance(clock)), TrainingPlan(EPOCHS, 0)).run(lambda record: None)
    ended = clock.now
    for number, (one, at) in enumerate(zip(callback.progress, callback.times, strict=True)):
        if number >= NUM_STEPS:
            assert one.seconds_left == pytest.approx(ended - at)
    # Until then, an evaluated image is taken to cost a third of a trained one.
    seconds = [one.seconds_left for one in callback.progress[:NUM_STEPS]]
    evaluation = 60 * STEP_SECONDS / BATCH / 3
    assert seconds == pytest.approx(
        [(EPOCHS * NUM_STEPS - step) * STEP_SECONDS + EPOCHS * evaluation for step in range(1, NUM_STEPS + 1)]
    )


def test_in_the_evaluation_the_progress_is_that_of_the_last_step(clock: Clock) -> None:
    callback = _Recorder(clock.perf_counter)
    _loop(callback, _Timed(_advance(clock)), TrainingPlan(EPOCHS, 0)).run(lambda record: None)
    assert callback.in_evaluation == callback.progress[NUM_STEPS - 1 :: NUM_STEPS]


def test_a_training_of_a_chosen_length_counts_its_own_epochs(clock: Clock) -> None:
    callback = _Recorder(clock.perf_counter)
    plan = TrainingPlan(9, 0, choices=ValidationChoices(kept_epoch=2))
    _loop(callback, _Timed(_advance(clock)), plan).run(lambda record: None)
    assert {one.epochs for one in callback.progress} == {2}
    assert callback.progress[-1].seconds_left == pytest.approx(EVALUATION_SECONDS)


def test_resumed_in_an_epoch_the_rate_is_that_of_the_new_process(clock: Clock) -> None:
    first = _Recorder(clock.perf_counter, pause_at=10)
    loop = _loop(first, _Timed(_advance(clock)), TrainingPlan(EPOCHS, 0))
    with pytest.raises(TrainingPaused):
        loop.run(lambda record: None)
    state = loop.state()

    def twice_as_slow(seconds: float) -> None:
        clock.now += 2 * seconds

    second = _Recorder(clock.perf_counter)
    loop = _loop(second, _Timed(twice_as_slow), TrainingPlan(EPOCHS, 0))
    loop.load(state)
    loop.run(lambda record: None)
    resumed = second.progress[0]
    assert (resumed.epoch, resumed.step) == (2, 4)
    assert resumed.images_per_second == pytest.approx(BATCH / STEP_SECONDS / 2)
    left = EPOCHS * NUM_STEPS - 11
    evaluation = 60 * 2 * STEP_SECONDS / BATCH / 3
    assert resumed.seconds_left == pytest.approx(left * 2 * STEP_SECONDS + 3 * evaluation)
    # The mean over all steps of the epoch, those of the first process included.
    whole = _Recorder(clock.perf_counter)
    _loop(whole, _Timed(_advance(clock)), TrainingPlan(EPOCHS, 0)).run(lambda record: None)
    assert [one.loss for one in (*first.progress, *second.progress)] == [one.loss for one in whole.progress]


def test_the_time_left_of_a_real_training_is_plausible() -> None:
    def sleep(seconds: float) -> None:
        time.sleep(seconds / 25)

    callback = _Recorder(time.perf_counter)
    _loop(callback, _Timed(sleep), TrainingPlan(EPOCHS, 0)).run(lambda record: None)
    ended = time.perf_counter()
    for one, at in list(zip(callback.progress, callback.times, strict=True))[NUM_STEPS + 2 :]:
        assert 0.5 * (ended - at) < one.seconds_left < 2 * (ended - at) + 0.1


def test_the_state_of_the_progress_is_restored_with_its_precision() -> None:
    progress = TrainingProgress(torch.zeros(5), micro_batches=2)
    progress.end_epoch(EpochRecord(1, 0.5, 0.6, 0.7, 0.8, 100.0, 2.0))
    for loss in (1.0, 3.0):
        progress.record_step(torch.tensor(loss))
    progress.seconds = 4.5
    state = progress.state("bfloat16")
    assert state.values["precision"] == "bfloat16"
    restored = TrainingProgress(torch.zeros(5))
    restored.load(state)
    assert restored.losses.tolist() == [1.0, 3.0]
    assert float(restored.last_loss) == 3.0
    assert (restored.curve, restored.seconds, restored.micro_batches) == (progress.curve, 4.5, 2)


def test_the_time_of_a_context_is_added_also_while_it_lasts(clock: Clock) -> None:
    progress = TrainingProgress(torch.zeros(5))
    with progress.timed():
        clock.now += 2.0
        assert progress.state("float32").values["seconds"] == 2.0
        clock.now += 1.0
    clock.now += 100.0
    assert progress.state("float32").values["seconds"] == 3.0


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_checkpoint_names_the_precision_of_its_training(precision: str) -> None:
    task = digits_task(NUM_TRAIN, 60)
    compute = ComputeDevice(torch.device("cpu"), torch.float32).with_precision(precision)
    loop = TrainingLoop(
        small_network(), Recipe(batch_size=BATCH), task, TrainingPlan(1, 0), ShuffleSampler(NUM_TRAIN, 0), compute
    )
    assert loop.state().part("progress").values["precision"] == precision
