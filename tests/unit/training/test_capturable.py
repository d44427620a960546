"""Capturability of every recipe option and network family as a CUDA graph, checked without a GPU.

Steps run on PyTorch's `meta` device, where tensors have shapes but no values, so waiting for a value raises. From the
fourth step on, all steps must consist of the same operations with the same numbers on the same memory; replaying one
step is then equivalent to running the next.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.data.labelled_images import Split
from nas.data.normalization import Normalization
from nas.data.sampling.samplers import Draws
from nas.networks.build_network import build_network
from nas.space.architecture import (
    Architecture,
    DenseNetArchitecture,
    MlpArchitecture,
    MobileNetArchitecture,
    PairArchitecture,
    PlainArchitecture,
    ResNetArchitecture,
    VggArchitecture,
)
from nas.space.augmentation_policy_parser import OPERATIONS
from nas.space.recipe import Distillation, Imbalance, Loss, Orthogonality, Recipe, Schedule
from nas.training import training_step as step_module
from nas.training.execution.cuda_graph_capture import NUM_WARM_UP_STEPS
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.optimization.optimizers_and_schedules import LearningRateSchedule
from nas.training.optimization.weight_averaging import WeightAverage
from nas.training.teacher_network import TeacherNetwork
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.training.training_step import TrainingStep
from tests.unit.training.recording import NotCapturableError, record_operations

META = torch.device("meta")
BATCH = 8
NUM_STEPS = NUM_WARM_UP_STEPS + 3

RECIPES: dict[str, dict[str, Any]] = {
    **{f"loss {name}": {"loss": name} for name in Loss.PARAMETERS},
    "label smoothing": {"loss": {"name": "cross_entropy", "label_smoothing": 0.1}},
    **{f"imbalance {name}": {"imbalance": name} for name in Imbalance.PARAMETERS},
    **{f"orthogonality {name}": {"orthogonality": name} for name in Orthogonality.PARAMETERS},
    **{f"distillation {name}": {"distillation": name} for name in Distillation.PARAMETERS},
    **{f"schedule {name}": {"schedule": name} for name in Schedule.PARAMETERS},
    **{f"sgd with schedule {name}": {"schedule": name, "optimizer": "sgd"} for name in Schedule.PARAMETERS},
    **{f"augmentation {name}": {"augmentation": name} for name in OPERATIONS},
    "all that warps": {"augmentation": "shift, flip, rotate, shear, elastic, cutout, mixup"},
    **{f"muon with schedule {name}": {"schedule": name, "optimizer": "muon"} for name in Schedule.PARAMETERS},
    **{
        f"{name} with fast biases": {"optimizer": name, "norm_rate_factor": 64, "learning_rate_scaling": "linear"}
        for name in ("sgd", "adamw", "muon")
    },
    "average": {"ema_decay": 0.99},
    "no clipping, no decay": {"gradient_clip": 0.0, "weight_decay": 0.0},
    "patience": {"early_stopping_patience": 2},
    "everything": {
        "loss": "focal", "imbalance": "reweighting", "orthogonality": "convolution", "augmentation": "elastic, cutmix",
        "ema_decay": 0.9, "optimizer": "sgd", "distillation": "standardized_logits",
    },
}  # fmt: skip

VGG = VggArchitecture(stem_width=4, depths=(1, 1), widths=(4, 8), dropout_head=0.1, dropout_first=0.1, noise_std=0.01)
ARCHITECTURES: tuple[Architecture, ...] = (
    VGG,
    VGG.model_copy(update={"normalization": "none", "factorized": True}),
    VGG.model_copy(update={"whitened_stem": True, "test_time_flip": True, "identity_init": True}),
    ResNetArchitecture(stem_width=4, depths=(1, 1), widths=(4, 8)),
    DenseNetArchitecture(stem_width=4, depths=(2, 2), growth_rate=4),
    MobileNetArchitecture(stem_width=4, depths=(1, 2), widths=(4, 8), expansion=2),
    ResNetArchitecture(
        stem_width=4,
        depths=(1, 1),
        widths=(4, 8),
        strides=(2, 1),
        squeeze_ratio=0.5,
        preactivated=True,
        downsampling="average",
    ),
    PlainArchitecture(widths=(4, 8), padded=True, dropout_first=0.1, noise_std=0.01),
)


class _MetaGenerator(torch.Generator):
    """Generator that reports the tensors' device; it never generates numbers there."""

    device = META


class _Recorder:
    """Replacement for `CapturedStep` that records the operations of each call."""

    calls: list[list[tuple[Any, ...]]]

    def __init__(self, step: Callable[[Draws], Tensor], generator: torch.Generator, stream: object) -> None:
        self._step = step
        _Recorder.calls = []

    def __call__(self, draws: Draws) -> Tensor:
        losses: list[Tensor] = []
        _Recorder.calls.append(record_operations(META, lambda: losses.append(self._step(draws))))
        return losses[0]


@pytest.fixture(autouse=True)
def _on_meta(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_module, "CapturedStep", _Recorder)
    monkeypatch.setattr(ComputeDevice, "stream", None)
    monkeypatch.setattr(torch, "Generator", lambda device: _MetaGenerator())
    # Autocast does not support the meta device, and has no effect in float32.
    monkeypatch.setattr(torch, "autocast", lambda device, enabled: nullcontext())
    monkeypatch.setattr(TrainingTask, "counts_K", torch.ones(10, dtype=torch.int64, device=META))


def _steps(
    recipe: Recipe, architecture: Architecture = VGG, share_done: float = 0.0, micro_batches: int = 1
) -> list[list[tuple[Any, ...]]]:
    """Operations of several steps, with the schedule advanced after each."""
    are_pairs = isinstance(architecture, PairArchitecture)
    channels = 6 if are_pairs else 3
    network = build_network(architecture, channels, 10, (8, 8), num_part_classes=10).to(META)
    network = network.to(memory_format=torch.channels_last).train()
    split = Split(
        torch.zeros(50, channels, 8, 8, dtype=torch.uint8, device=META),
        torch.zeros(50, dtype=torch.int64, device=META),
        torch.zeros(50, 2, dtype=torch.int64, device=META) if are_pairs else None,
    )
    normalization = Normalization(torch.full((channels,), 0.5), torch.ones(channels)).to(META)
    teacher = TeacherNetwork(normalization, build_network(VGG, channels, 10).to(META))
    task = TrainingTask(split, split, tuple("0123456789"), normalization, teacher)
    compute = ComputeDevice(META, torch.float32, cuda_graphs=True)
    step = TrainingStep(network, recipe, task, TrainingPlan(5, 0, micro_batches), compute)
    schedule = LearningRateSchedule(recipe, step.optimizer, 2 * NUM_STEPS)
    step.begin_epoch(share_done)
    indices = torch.zeros(BATCH, dtype=torch.int64, device=META)
    is_synthetic = recipe.imbalance.name.endswith("smote")
    draws = Draws(indices, indices.clone(), torch.zeros(BATCH, device=META)) if is_synthetic else Draws(indices)
    for _ in range(NUM_STEPS):
        assert step(draws).shape == ()
        schedule.after_step()
    return _Recorder.calls


def _assert_one_graph(calls: list[list[tuple[Any, ...]]]) -> None:
    assert len(calls) == NUM_STEPS
    assert len(calls[0]) > 50
    for later in calls[NUM_WARM_UP_STEPS:]:
        differences = [(a, b) for a, b in zip(calls[NUM_WARM_UP_STEPS - 1], later, strict=True) if a != b]
        assert not differences, f"{len(differences)} operations differ, the first being {differences[0]}"


@pytest.mark.parametrize("options", RECIPES.values(), ids=RECIPES.keys())
def test_every_option_of_a_recipe(options: dict[str, Any]) -> None:
    _assert_one_graph(_steps(Recipe.model_validate(options)))


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda architecture: architecture.family)
@pytest.mark.parametrize("orthogonality", ["none", "convolution"])
def test_every_family(architecture: Architecture, orthogonality: str) -> None:
    _assert_one_graph(_steps(Recipe(orthogonality=Orthogonality(name=orthogonality), ema_decay=0.9), architecture))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("micro_batches", [1, 2])
def test_pairs_with_an_auxiliary_loss(shared: bool, micro_batches: int) -> None:
    architecture = PairArchitecture(branch=VGG, shared=shared, comparison_widths=(8,), auxiliary=True)
    recipe = Recipe(auxiliary_weight=0.3, augmentation="shift 1, rotate 5, cutout 0.2")
    _assert_one_graph(_steps(recipe, architecture, micro_batches=micro_batches))


def test_an_mlp() -> None:
    _assert_one_graph(_steps(Recipe(ema_decay=0.9), MlpArchitecture(widths=(8, 8), dropout=0.1)))


def test_ldam_once_it_weighs_its_classes() -> None:
    first, deferred = (_steps(Recipe(loss=Loss(name="ldam")), share_done=share) for share in (0.0, 0.5))
    _assert_one_graph(deferred)
    assert len(deferred[0]) > len(first[0])


def test_micro_batches() -> None:
    _assert_one_graph(_steps(Recipe(augmentation="mixup", ema_decay=0.5), micro_batches=3))


X = torch.zeros(4, device=META)


@pytest.mark.parametrize(
    "fault",
    [
        lambda: torch.tensor([1.0, 2.0], device=META),
        lambda: X[X > 0],
        lambda: X.nonzero(),
        lambda: torch.multinomial(X, 2),
        lambda: X.cpu(),
        lambda: X + torch.ones(4),
        lambda: X.sum().item(),
    ],
)
def test_what_cannot_be_captured_is_noticed(fault: Callable[[], object]) -> None:
    # PyTorch itself raises for some of these operations on this device.
    with pytest.raises((NotCapturableError, RuntimeError, NotImplementedError)):
        record_operations(META, fault)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine"])
def test_a_rate_that_a_capture_would_fix_is_noticed(monkeypatch: pytest.MonkeyPatch, schedule: str) -> None:
    def with_host_values(recipe: Recipe, network: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)

    monkeypatch.setattr(step_module, "make_optimizer", with_host_values)
    with pytest.raises(AssertionError, match="operations differ"):
        _assert_one_graph(_steps(Recipe(schedule=Schedule(name=schedule))))


def test_a_decay_that_a_capture_would_fix_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_host_values(average: WeightAverage) -> None:
        with torch.no_grad():
            torch._foreach_lerp_(average._average, average._network_tensors, average._weight)

    monkeypatch.setattr(WeightAverage, "update", with_host_values)
    with pytest.raises(AssertionError, match="operations differ"):
        _assert_one_graph(_steps(Recipe(ema_decay=0.9)))
