from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim
from torch.nn import functional

from nas.data.sampling.samplers import Draws, Sampler, ShuffleSampler
from nas.data.sampling.smote import SmoteSampler, cached_smote_table
from nas.space.recipe import Recipe
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.training.training_loop import TrainingLoop
from nas.training.training_step import TrainingStep
from tests.unit.training.examples import CPU, digits_task, small_network
from tests.unit.training.recording import record_operations

EPOCHS, BATCH, NUM_IMAGES, RATE, MOMENTUM, DECAY, CLIP = 3, 16, 101, 0.1, 0.9, 0.05, 0.5


def _sampler(smote: bool, task: TrainingTask, folder: Path) -> Sampler:
    if not smote:
        return ShuffleSampler(NUM_IMAGES, 0)
    table = cached_smote_table(task.train, neighbors=3, danger_neighbors=None, folder=folder)
    return SmoteSampler(table, task.train.labels, 0)


def _plain_loop(task: TrainingTask, sampler: Sampler, optimizer: str) -> tuple[nn.Module, list[float]]:
    """Plain training loop that uses only the network and the draws of the package."""
    torch.manual_seed(0)
    network = small_network().to(memory_format=torch.channels_last)
    torch.manual_seed(0)
    weights = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    made: optim.Optimizer = (
        optim.SGD(groups, lr=RATE, momentum=MOMENTUM, nesterov=True, fused=True)
        if optimizer == "sgd"
        else optim.AdamW(groups, lr=RATE, fused=True)
    )
    means = []
    for epoch in range(EPOCHS):
        network.train()
        draws, losses = sampler.draws(epoch), []
        for start in range(0, NUM_IMAGES, BATCH):
            chosen = slice(start, start + BATCH)
            images, labels = task.train.images[draws.first[chosen]], task.train.labels[draws.first[chosen]]
            if draws.second is not None and draws.gap is not None:
                partner_images = task.train.images[draws.second[chosen]].float()
                share = draws.gap[chosen].reshape(-1, 1, 1, 1)
                images = torch.lerp(images.float(), partner_images, share).round().to(torch.uint8)
            inputs = task.normalization(images).contiguous(memory_format=torch.channels_last)
            loss = functional.cross_entropy(network(inputs), labels, reduction="none").mean()
            made.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            made.step()
            losses.append(loss.detach())
        means.append(float(torch.stack(losses).mean()))
    return network, means


@pytest.mark.parametrize("smote", [False, True])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_training_is_a_plain_loop_to_the_bit(optimizer: str, smote: bool, tmp_path: Path) -> None:
    task = digits_task(NUM_IMAGES, 30)
    sampler = _sampler(smote, task, tmp_path)
    recipe = Recipe(
        optimizer=optimizer, learning_rate=RATE, weight_decay=DECAY, gradient_clip=CLIP, batch_size=BATCH,
        schedule="constant",
    )  # fmt: skip
    network = small_network()
    trained = TrainingLoop(network, recipe, task, TrainingPlan(EPOCHS, 0), sampler, CPU).run(lambda record: None)
    expected, losses = _plain_loop(task, sampler, optimizer)
    assert [record.train_loss for record in trained.curve] == losses
    for own, plain in zip(network.parameters(), expected.parameters(), strict=True):
        assert torch.equal(own, plain)


def _step(compute: ComputeDevice, **options: Any) -> TrainingStep:
    # PyTorch's own layers, which are used on a GPU; on the CPU nas has other implementations in bfloat16.
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(128, 10)
    )
    step = TrainingStep(network, Recipe.model_validate(options), digits_task(64), TrainingPlan(1, 0), compute)
    network.train()
    step.begin_epoch(0.0)
    return step


@pytest.mark.parametrize("options", [{}, {"augmentation": "mixup"}, {"orthogonality": "kernel"}])
def test_weights_are_cast_to_bfloat16_once_a_step(options: dict[str, Any]) -> None:
    step = _step(ComputeDevice(torch.device("cpu"), torch.bfloat16), **options)
    weights = {
        parameter.untyped_storage()._cdata
        for group in step.optimizer.param_groups
        for parameter in group["params"]
        if parameter.ndim > 1
    }
    operations = record_operations(torch.device("cpu"), lambda: step(Draws(torch.arange(32))))
    casts = [
        operation[1][1]
        for operation in operations
        if operation[0] == "aten._to_copy.default" and torch.bfloat16 in operation and operation[1][1] in weights
    ]
    assert len(weights) == 3
    assert sorted(casts) == sorted(weights)


def test_a_loss_is_bound_again_only_when_it_becomes_another() -> None:
    step = _step(CPU, loss={"name": "ldam", "deferral": 0.5, "deferred_beta": 0.9})
    bound = []
    for share_done in (0.0, 0.25, 0.5, 0.75):
        step.begin_epoch(share_done)
        bound.append(step._loss_function)
    assert bound[0] is bound[1]
    assert bound[1] is not bound[2]
    assert bound[2] is bound[3]


def test_without_an_epoch_there_is_no_loss() -> None:
    network = small_network()
    with pytest.raises(AssertionError, match="called first"):
        TrainingStep(network, Recipe(), digits_task(64), TrainingPlan(1, 0), CPU)(Draws(torch.arange(8)))


def test_alternating_flips_show_each_image_in_both_directions_in_two_epochs() -> None:
    class Recorded(nn.Module):
        """Classifier that keeps its inputs."""

        def __init__(self) -> None:
            super().__init__()
            self.linear, self.inputs = nn.Linear(64, 10), []

        def forward(self, images: Tensor) -> Tensor:
            self.inputs.append(images.detach().clone())
            outputs: Tensor = self.linear(images.flatten(1))
            return outputs

    task, network = digits_task(48, 20), Recorded()
    recipe = Recipe(augmentation="flip alternating", batch_size=16)
    TrainingLoop(network, recipe, task, TrainingPlan(2, 5), ShuffleSampler(48, 5), CPU).run(lambda record: None)
    trained = torch.cat([inputs for inputs in network.inputs if len(inputs) == 16])
    order = [ShuffleSampler(48, 5).draws(epoch).first.argsort() for epoch in (0, 1)]
    first, second = trained[:48][order[0]], trained[48:][order[1]]
    assert torch.equal(first, second.flip(3))
    is_mirrored = (first != task.normalization(task.train.images)).flatten(1).any(1)
    assert 10 < int(is_mirrored.sum()) < 38
