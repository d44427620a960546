"""Training with captured steps on a GPU; skipped without a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.data.sampling.samplers import ShuffleSampler
from nas.results.learning_curve import EpochProgress
from nas.space.recipe import Recipe
from nas.training.checkpoints.checkpoint_file import read_checkpoint, write_checkpoint
from nas.training.checkpoints.training_state import TrainingState
from nas.training.execution.cuda_graph_capture import CapturedStep
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.execution.run_ahead_limit import RunAheadLimit
from nas.training.fit import FitResult, PausedTraining, fit
from nas.training.shared_weights.elastic_training import score_slice, train_elastic
from nas.training.teacher_network import TeacherNetwork
from nas.training.training_callback import TrainingPaused
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.training.training_loop import TrainingLoop
from tests.unit.training.examples import digits_task, small_network
from tests.unit.training.shared_weights.test_elastic_training import RECIPE as SHARED_RECIPE
from tests.unit.training.shared_weights.test_elastic_training import elastic_network
from tests.unit.training.test_capturable import RECIPES

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

EPOCHS = 6
# 64 images in batches of 10: six of them and one of four an epoch.
NUM_IMAGES, BATCH = 64, 10
FULL_STEPS, LAST_STEPS = EPOCHS * 6, EPOCHS


def _compute(precision: torch.dtype = torch.float32, *, cuda_graphs: bool = True) -> ComputeDevice:
    return ComputeDevice(torch.device("cuda"), precision, cuda_graphs=cuda_graphs)


def _task() -> TrainingTask:
    task = digits_task(NUM_IMAGES, 60)
    teacher = TeacherNetwork(task.normalization, small_network()).to("cuda")
    normalization = task.normalization.to("cuda")
    return TrainingTask(task.train.to("cuda"), task.validation.to("cuda"), task.classes, normalization, teacher)


@contextmanager
def _replays(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count captures and replays in the context."""
    counts = [0, 0]
    capture, replay = CapturedStep._capture, torch.cuda.CUDAGraph.replay

    def captured(step: CapturedStep) -> torch.cuda.CUDAGraph:
        counts[0] += 1
        return capture(step)

    def replayed(graph: torch.cuda.CUDAGraph) -> None:
        counts[1] += 1
        replay(graph)

    with monkeypatch.context() as patch:
        patch.setattr(CapturedStep, "_capture", captured)
        patch.setattr(torch.cuda.CUDAGraph, "replay", replayed)
        yield counts


def _fit(
    options: dict[str, Any], compute: ComputeDevice, cache: Path, micro_batches: int = 1, **arguments: Any
) -> tuple[FitResult, list[Tensor]]:
    network = small_network().to("cuda")
    fitted = fit(
        network, Recipe.model_validate({"batch_size": BATCH, "learning_rate": 1e-3, **options}), _task(),
        TrainingPlan(EPOCHS, 1, micro_batches), compute=compute, cache=cache, on_epoch=lambda record: None, **arguments,
    )  # fmt: skip
    return fitted, [tensor.detach().clone() for tensor in network.state_dict().values()]


@pytest.fixture(autouse=True)
def _deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make GPU results as deterministic as possible, so that differences come from the capture."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def _assert_alike(captured: tuple[FitResult, list[Tensor]], eager: tuple[FitResult, list[Tensor]]) -> None:
    for own, other in zip(captured[1], eager[1], strict=True):
        torch.testing.assert_close(own, other, rtol=1e-3, atol=1e-4)
    losses = [[record.train_loss for record in fitted.curve] for fitted in (captured[0], eager[0])]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.parametrize("options", RECIPES.values(), ids=RECIPES.keys())
def test_captured_steps_are_the_eager_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    eager = _fit(options, _compute(cuda_graphs=False), tmp_path)
    with _replays(monkeypatch) as counts:
        captured = _fit(options, _compute(), tmp_path)
    _assert_alike(captured, eager)
    if options.get("loss") == "ldam":
        # Captured again after half of the epochs, when class weights begin; each half has three of the small batches.
        assert counts == [2, FULL_STEPS - 6]
    elif len(captured[0].curve) == EPOCHS:
        assert counts == [2, FULL_STEPS - 3 + LAST_STEPS - 3]


@pytest.mark.parametrize("micro_batches", [2, 3])
def test_micro_batches(tmp_path: Path, micro_batches: int) -> None:
    options = {"augmentation": "cutmix", "ema_decay": 0.9}
    eager = _fit(options, _compute(cuda_graphs=False), tmp_path, micro_batches)
    _assert_alike(_fit(options, _compute(), tmp_path, micro_batches), eager)


def test_in_bfloat16_the_loss_goes_down_as_in_eager_steps(tmp_path: Path) -> None:
    options = {"learning_rate": 1e-2}
    (eager, _), (captured, _) = (
        _fit(options, _compute(torch.bfloat16, cuda_graphs=cuda_graphs), tmp_path) for cuda_graphs in (False, True)
    )
    first, last = captured.curve[0].train_loss, captured.curve[-1].train_loss
    assert last < 0.9 * first
    assert last == pytest.approx(eager.curve[-1].train_loss, rel=0.05)


class _PausesAt:
    """Callback that pauses after a step and records the time."""

    paused_at = 0.0

    def __init__(self, num_steps: int) -> None:
        self._num_steps = num_steps
        self.notices: list[str] = []

    def after_step(
        self, num_steps: int, state: Callable[[], TrainingState], progress: Callable[[], EpochProgress]
    ) -> None:
        if num_steps >= self._num_steps:
            self.paused_at = time.perf_counter()
            raise TrainingPaused

    def keep_alive(self, silence_limit_seconds: float = 0.0) -> None:
        pass

    def notify(self, text: str) -> None:
        self.notices.append(text)


@pytest.mark.parametrize("options", [{}, {"optimizer": "sgd", "ema_decay": 0.9, "augmentation": "shift, mixup"}])
def test_paused_and_resumed_across_a_capture(tmp_path: Path, options: dict[str, Any]) -> None:
    expected = _fit(options, _compute(), tmp_path)
    start: TrainingState | None = None
    for pause in (2, 9, 20):
        with pytest.raises(PausedTraining) as interruption:
            _fit(options, _compute(), tmp_path, start=start, callback=_PausesAt(pause))
        assert interruption.value.num_steps == pause
        write_checkpoint(tmp_path / "checkpoint", interruption.value.state)
        torch.manual_seed(99)
        start = read_checkpoint(tmp_path / "checkpoint")
    _assert_alike(_fit(options, _compute(), tmp_path, start=start), expected)


def test_a_checkpoint_of_a_gpu_goes_on_on_a_cpu(tmp_path: Path) -> None:
    with pytest.raises(PausedTraining) as interruption:
        _fit({"ema_decay": 0.9}, _compute(), tmp_path, callback=_PausesAt(20))
    write_checkpoint(tmp_path / "checkpoint", interruption.value.state)
    network, recipe = small_network(), Recipe(batch_size=BATCH, learning_rate=1e-3, ema_decay=0.9)
    cpu = ComputeDevice(torch.device("cpu"), torch.float32)
    training = TrainingLoop(
        network, recipe, digits_task(NUM_IMAGES, 60), TrainingPlan(EPOCHS, 1), ShuffleSampler(NUM_IMAGES, 1), cpu
    )
    training.load(read_checkpoint(tmp_path / "checkpoint"))
    assert len(training.run(lambda record: None).curve) == EPOCHS


def test_a_pause_takes_effect_within_a_second(tmp_path: Path) -> None:
    callback = _PausesAt(25)
    with pytest.raises(PausedTraining) as interruption:
        _fit({}, _compute(), tmp_path, callback=callback)
    write_checkpoint(tmp_path / "checkpoint", interruption.value.state)
    assert time.perf_counter() - callback.paused_at < 1.0


def test_the_host_is_at_most_four_steps_ahead() -> None:
    cycles = 30_000_000  # At least 15 ms, depending on the clock rate of the GPU.
    torch.cuda._sleep(cycles)
    torch.cuda.synchronize()
    started = time.perf_counter()
    torch.cuda._sleep(cycles)
    torch.cuda.synchronize()
    step_seconds = time.perf_counter() - started
    run_ahead, started = RunAheadLimit(torch.device("cuda")), time.perf_counter()
    for _ in range(20):
        torch.cuda._sleep(cycles)
        run_ahead.step_queued()
    assert time.perf_counter() - started >= 0.9 * 16 * step_seconds
    torch.cuda.synchronize()


def test_memory_comes_back_when_a_training_ends(tmp_path: Path) -> None:
    compute = _compute()
    for _ in range(2):
        _fit({"ema_decay": 0.9}, compute, tmp_path)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    for _ in range(5):
        _fit({"ema_decay": 0.9}, compute, tmp_path)
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() <= before + 2**22


@pytest.mark.parametrize("options", [{}, {"augmentation": "shift, mixup", "ema_decay": 0.9}])
def test_after_a_failed_capture_the_steps_are_eager_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    from nas.training import training_step as step_module

    def waits_for_the_device(network: torch.nn.Module, name: str) -> Tensor:
        return torch.zeros((), device="cuda") * float(next(network.parameters()).sum())

    monkeypatch.setattr(step_module, "orthogonality_penalty", waits_for_the_device)
    options = {"orthogonality": "kernel", **options}
    eager = _fit(options, _compute(cuda_graphs=False), tmp_path)
    callback = _PausesAt(10_000)
    fallen_back = _fit(options, _compute(), tmp_path, callback=callback)
    _assert_alike(fallen_back, eager)
    (notice,) = callback.notices
    assert "could not be captured as a CUDA graph" in notice
    assert (fallen_back[0].capture_failed, eager[0].capture_failed) == (True, False)


def test_the_description_names_captured_and_eager_steps() -> None:
    assert _compute().describe().endswith("float32, channels-last, captured steps")
    assert _compute(cuda_graphs=False).describe().endswith("float32, channels-last, eager steps")


def test_an_elastic_network_is_trained_with_eager_steps_and_its_slices_are_scored(tmp_path: Path) -> None:
    task, compute, network = _task(), _compute(), elastic_network().to("cuda")
    result = train_elastic(
        network, SHARED_RECIPE, task, TrainingPlan(EPOCHS, 1), compute=compute, cache=tmp_path,
        on_epoch=lambda record: None,
    )  # fmt: skip
    assert result.curve[-1].train_loss < result.curve[0].train_loss
    for genome in (network.elastic.smallest, network.elastic.largest):
        own, scored = score_slice(network, genome, task, TrainingPlan(1, 0), compute=compute)
        assert scored.scores.f1_macro > 0.0
        assert next(own.parameters()).device.type == "cuda"
