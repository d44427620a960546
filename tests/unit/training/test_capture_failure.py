"""Eager steps after a step that could not be captured, with a capture that fails on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.data.sampling.samplers import Draws
from nas.results.learning_curve import EpochProgress
from nas.space.recipe import Recipe
from nas.training import training_step as step_module
from nas.training.checkpoints.training_state import TrainingState
from nas.training.execution.cuda_graph_capture import NUM_WARM_UP_STEPS, CaptureError
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.fit import FitResult, PausedTraining, fit
from nas.training.training_callback import NoCallback, TrainingPaused
from nas.training.training_inputs import TrainingPlan
from tests.unit.training.examples import CPU, digits_task, small_network

EPOCHS, NUM_TRAIN, BATCH = 3, 64, 10
STEPS_PER_EPOCH = 7
"""Six batches of ten images and one of four."""
CAPTURING = ComputeDevice(torch.device("cpu"), torch.float32, cuda_graphs=True)
RECIPES: list[dict[str, Any]] = [
    {}, {"loss": "ldam", "gradient_clip": 0.1},
    {"optimizer": "sgd", "ema_decay": 0.9, "augmentation": "shift 1, mixup"},
]  # fmt: skip


class _FailingCapture:
    """Replacement for `CapturedStep` whose capture fails at the fourth call, like one on a GPU."""

    created = 0

    def __init__(self, step: Callable[[Draws], Tensor], generator: torch.Generator, stream: object) -> None:
        _FailingCapture.created += 1
        self._step, self._calls = step, 0

    def __call__(self, draws: Draws) -> Tensor:
        self._calls += 1
        if self._calls > NUM_WARM_UP_STEPS:
            raise CaptureError("the training step could not be captured as a CUDA graph (no reason)")
        return self._step(draws)


class _OutOfMemory(_FailingCapture):
    def __call__(self, draws: Draws) -> Tensor:
        raise torch.OutOfMemoryError("GPU")


class _Recorder(NoCallback):
    """Callback that records notices and the losses of all steps, and may pause."""

    def __init__(self, pause_at: int = 10**6) -> None:
        self.notices: list[str] = []
        self.losses: list[float] = []
        self._pause_at = pause_at

    def after_step(
        self, num_steps: int, state: Callable[[], TrainingState], progress: Callable[[], EpochProgress]
    ) -> None:
        self.losses.append(progress().loss)
        if num_steps == self._pause_at:
            raise TrainingPaused

    def notify(self, text: str) -> None:
        self.notices.append(text)


@pytest.fixture(autouse=True)
def _captures_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    _FailingCapture.created = 0
    monkeypatch.setattr(step_module, "CapturedStep", _FailingCapture)
    monkeypatch.setattr(ComputeDevice, "stream", SimpleNamespace(synchronize=lambda: None))
    monkeypatch.setattr(ComputeDevice, "stream_context", lambda self: nullcontext())


def _fit(
    recipe: dict[str, Any], compute: ComputeDevice, cache: Path, callback: _Recorder, **arguments: Any
) -> tuple[FitResult, list[Tensor]]:
    network = small_network()
    fitted = fit(
        network, Recipe.model_validate({"batch_size": BATCH, **recipe}), digits_task(NUM_TRAIN, 60),
        TrainingPlan(EPOCHS, 1), compute=compute, cache=cache, on_epoch=lambda record: None, callback=callback,
        **arguments,
    )  # fmt: skip
    return fitted, [tensor.clone() for tensor in network.state_dict().values()]


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_batch_is_trained_exactly_once_and_the_failure_reported_once(
    tmp_path: Path, recipe: dict[str, Any]
) -> None:
    eager, fallen_back = _Recorder(), _Recorder()
    expected, weights = _fit(recipe, CPU, tmp_path, eager)
    assert _FailingCapture.created == 0
    fitted, same = _fit(recipe, CAPTURING, tmp_path, fallen_back)
    assert _FailingCapture.created == 1
    assert len(fallen_back.losses) == EPOCHS * STEPS_PER_EPOCH
    assert fallen_back.losses == eager.losses
    assert all(torch.equal(a, b) for a, b in zip(weights, same, strict=True))
    assert fitted.scores == expected.scores
    assert fallen_back.notices == [
        "the training step could not be captured as a CUDA graph (no reason); training goes on with eager steps"
    ]
    assert eager.notices == []
    assert (fitted.capture_failed, expected.capture_failed) == (True, False)


def test_without_a_capture_there_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.training.test_capture_failure.NUM_WARM_UP_STEPS", 10**6)
    callback = _Recorder()
    fitted, _ = _fit({}, CAPTURING, tmp_path, callback)
    assert _FailingCapture.created == 2, "one for each size of a batch"
    assert not fitted.capture_failed
    assert callback.notices == []


def test_paused_after_the_failure_it_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    _, weights = _fit({}, CPU, tmp_path, _Recorder())
    with pytest.raises(PausedTraining) as interruption:
        _fit({}, CAPTURING, tmp_path, _Recorder(pause_at=9))
    again = _Recorder()
    fitted, same = _fit({}, CAPTURING, tmp_path, again, start=interruption.value.state)
    assert fitted.capture_failed
    assert len(again.notices) == 1
    assert all(torch.equal(a, b) for a, b in zip(weights, same, strict=True))


def test_a_capture_without_memory_is_no_reason_for_eager_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They need as much memory; the trial is repeated with micro-batches."""
    monkeypatch.setattr(step_module, "CapturedStep", _OutOfMemory)
    with pytest.raises(torch.OutOfMemoryError):
        _fit({}, CAPTURING, tmp_path, _Recorder())
