"""Optimisers for captured steps compared with PyTorch's fused optimisers, both on the CPU."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn, optim

from nas.space.recipe import Recipe, Schedule
from nas.training.checkpoints.training_state import optimizer_state, restore_optimizer
from nas.training.optimization.cuda_graph_optimizers import DeviceAdamW, DeviceSGD
from nas.training.optimization.optimizers_and_schedules import LearningRateSchedule, make_optimizer

Make = Callable[[Recipe, nn.Module], optim.Optimizer]
STEPS = 60


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3)).to(
        memory_format=torch.channels_last
    )


def _on_device(recipe: Recipe, network: nn.Module) -> DeviceSGD | DeviceAdamW:
    """Optimiser that `make_optimizer` creates on a GPU."""
    groups = [
        {"params": list(group["params"]), "weight_decay": group["weight_decay"], "lr": group["lr"]}
        for group in make_optimizer(recipe, network).param_groups
    ]
    if recipe.optimizer == "sgd":
        return DeviceSGD(groups, lr=recipe.learning_rate, momentum=0.9)
    return DeviceAdamW(groups, lr=recipe.learning_rate)


def _weights(recipe: Recipe, makes: tuple[Make, ...]) -> torch.Tensor:
    """Weights after a fixed number of steps, each optimiser resuming from the state of its predecessor."""
    network, states = _network(), None
    generator = torch.Generator().manual_seed(1)
    for make in makes:
        made = make(recipe, network)
        schedule = LearningRateSchedule(recipe, made, 2 * STEPS)
        if states is not None:
            restore_optimizer(made, states[0])
            schedule.load(states[1])
        for _ in range(STEPS // len(makes)):
            for parameter in network.parameters():
                gradient = torch.randn(parameter.shape, generator=generator)
                parameter.grad = torch.empty_like(parameter).copy_(gradient)
            if isinstance(made, DeviceSGD | DeviceAdamW):
                made.write_rates()
            made.step()
            schedule.after_step()
        states = optimizer_state(made), schedule.state()
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "reduce_on_plateau"])
@pytest.mark.parametrize(("optimizer", "learning_rate"), [("sgd", 0.05), ("adamw", 0.01)])
@pytest.mark.parametrize(("weight_decay", "norm_rate_factor"), [(0.0, 1), (0.1, 1), (0.1, 16)])
def test_they_take_the_steps_of_pytorchs(
    optimizer: str, learning_rate: float, schedule: str, weight_decay: float, norm_rate_factor: float
) -> None:
    recipe = Recipe(
        optimizer=optimizer, learning_rate=learning_rate, schedule=Schedule(name=schedule),
        weight_decay=weight_decay, norm_rate_factor=norm_rate_factor,
    )  # fmt: skip
    expected = _weights(recipe, (make_optimizer,))
    for makes in ((_on_device,), (make_optimizer, _on_device), (_on_device, make_optimizer)):
        torch.testing.assert_close(_weights(recipe, makes), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_rates_hold_until_they_are_written(optimizer: str) -> None:
    network = _network()
    made = _on_device(Recipe(optimizer=optimizer), network)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    # Device rates are initially zero; setting them on the host alone has no effect.
    made.step()
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    made.write_rates()
    made.step()
    assert not any(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


@pytest.mark.parametrize(("optimizer", "kind"), [("sgd", DeviceSGD), ("adamw", DeviceAdamW)])
def test_elsewhere_than_on_the_cpu_they_are_used(optimizer: str, kind: type) -> None:
    assert type(make_optimizer(Recipe(optimizer=optimizer), _network().to("meta"))) is kind
