from __future__ import annotations

import math

import pytest
import torch
from torch import nn, optim

from nas.space.recipe import Recipe, Schedule
from nas.training.optimization.optimizers_and_schedules import LearningRateSchedule, make_optimizer

PEAK = 0.2


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2))


def _rates(schedule: str, total_steps: int, optimizer: str = "sgd", **parameters: float) -> list[float]:
    choice = Schedule(name=schedule, **parameters)
    recipe = Recipe(schedule=choice, learning_rate=PEAK, optimizer=optimizer)
    torch_optimizer = make_optimizer(recipe, _network())
    scheduler = LearningRateSchedule(recipe, torch_optimizer, total_steps)
    rates = []
    for _ in range(total_steps):
        rates.append(torch_optimizer.param_groups[0]["lr"])
        assert torch_optimizer.param_groups[1]["lr"] == rates[-1]
        torch_optimizer.step()
        scheduler.after_step()
    return [*rates, torch_optimizer.param_groups[0]["lr"]]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_only_weights_are_decayed(optimizer: str) -> None:
    network = _network()
    torch_optimizer = make_optimizer(Recipe(optimizer=optimizer, weight_decay=0.1), network)
    decayed = {id(p): group["weight_decay"] for group in torch_optimizer.param_groups for p in group["params"]}
    by_name = {name: decayed[id(parameter)] for name, parameter in network.named_parameters()}
    assert by_name == {"0.weight": 0.1, "0.bias": 0, "1.weight": 0, "1.bias": 0, "3.weight": 0.1, "3.bias": 0}


@pytest.mark.parametrize(("optimizer", "kind"), [("sgd", optim.SGD), ("adamw", optim.AdamW)])
def test_the_recipe_names_the_optimizer(optimizer: str, kind: type) -> None:
    torch_optimizer = make_optimizer(Recipe(optimizer=optimizer, learning_rate=0.01), _network())
    assert type(torch_optimizer) is kind
    assert {group["lr"] for group in torch_optimizer.param_groups} == {0.01}


def test_adamw_decays_by_rate_times_decay_and_sgd_through_the_gradient() -> None:
    for optimizer, shrinks in (("adamw", 1 - 0.1 * 0.5), ("sgd", 1 - 0.1 * 0.5 * 1.9)):
        linear = nn.Linear(2, 2)
        before = linear.weight.detach().clone()
        bias = linear.bias.detach().clone()
        linear.weight.grad, linear.bias.grad = torch.zeros(2, 2), torch.zeros(2)
        make_optimizer(Recipe(optimizer=optimizer, learning_rate=0.1, weight_decay=0.5), linear).step()
        # Nesterov's first step is (1 + momentum) times the gradient.
        torch.testing.assert_close(linear.weight.detach(), before * shrinks)
        assert torch.equal(linear.bias.detach(), bias)


def test_frozen_parameters_are_left_out() -> None:
    network = _network()
    network[0].requires_grad_(False)
    groups = make_optimizer(Recipe(), network).param_groups
    assert sum(len(group["params"]) for group in groups) == 4


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("schedule", Schedule.PARAMETERS)
@pytest.mark.parametrize("total_steps", [1, 2, 3, 7, 10, 40])
def test_exactly_so_many_steps_can_be_taken(schedule: str, total_steps: int, optimizer: str) -> None:
    rates = _rates(schedule, total_steps, optimizer)
    assert all(0 <= rate <= PEAK * (1 + 1e-9) for rate in rates)
    assert all(rate > 0 for rate in rates[:-1])


def test_one_cycle_rises_from_a_25th_to_the_peak_and_falls_to_nothing() -> None:
    rates = _rates("one_cycle", 200)
    top = rates.index(max(rates))
    assert rates[0] == pytest.approx(PEAK / 25)
    assert rates[top] == pytest.approx(PEAK, rel=1e-3)
    assert top == pytest.approx(0.3 * 200, abs=1)
    assert rates == sorted(rates[:top]) + sorted(rates[top:], reverse=True)
    assert rates[-1] == pytest.approx(PEAK / 25 / 1e4)


def test_cosine_after_a_warm_up_of_a_twentieth() -> None:
    rates = _rates("cosine", 100)
    assert rates[:5] == pytest.approx([PEAK * share for share in (0.2, 0.4, 0.6, 0.8, 1.0)])
    expected = [PEAK * (1 + math.cos(math.pi * step / 95)) / 2 for step in range(96)]
    assert rates[5:] == pytest.approx(expected, abs=1e-12)
    assert rates[-1] == pytest.approx(0.0, abs=1e-12)


def test_cosine_without_a_warm_up_starts_at_the_peak() -> None:
    assert _rates("cosine", 10, warmup=0.0)[0] == PEAK


def test_step_decays_at_each_share_of_the_steps() -> None:
    rates = _rates("step", 30, decay_factor=0.5, decay_every=0.1)
    assert rates == pytest.approx([PEAK * 0.5 ** (step // 3) for step in range(31)])


def test_constant_is() -> None:
    assert set(_rates("constant", 12)) == {PEAK}


def test_plateau_decays_once_patience_is_lost_and_follows_no_step() -> None:
    schedule = Schedule(name="reduce_on_plateau", decay_factor=0.1, plateau_patience=2)
    torch_optimizer = make_optimizer(Recipe(schedule=schedule, learning_rate=PEAK, optimizer="sgd"), _network())
    scheduler, rates = LearningRateSchedule(Recipe(schedule=schedule), torch_optimizer, 100), []
    for validation_loss in (1.0, 0.9, 0.95, 0.91, 0.92, 0.93, 0.5):
        torch_optimizer.step()
        scheduler.after_step()
        rates.append(torch_optimizer.param_groups[0]["lr"])
        scheduler.after_epoch(validation_loss)
    # 0.95 and 0.91 are two epochs without a loss below 0.9; 0.92 and 0.93 are the next two.
    assert rates == pytest.approx([PEAK] * 4 + [PEAK / 10] * 2 + [PEAK / 100])
