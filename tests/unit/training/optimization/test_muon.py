from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nas.networks.build_network import build_network
from nas.space.architecture import VggArchitecture
from nas.space.recipe import Recipe, Schedule
from nas.training.checkpoints.training_state import optimizer_state, restore_optimizer
from nas.training.optimization.muon import Muon, orthogonalize
from nas.training.optimization.optimizers_and_schedules import LearningRateSchedule, make_optimizer


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("shape", [(16, 16), (8, 72), (40, 9), (1, 9)])
def test_singular_values_become_about_one_and_singular_vectors_stay(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=_generator())
    orthogonal = orthogonalize(matrix).double()
    values = torch.linalg.svdvals(orthogonal)
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3
    left, own_values, right = torch.linalg.svd(matrix.double(), full_matrices=False)
    rotated = left.T @ orthogonal @ right.T
    # The polynomial acts on each singular value alone, here computed in float64.
    expected = own_values / own_values.norm()
    for _ in range(5):
        expected = 3.4445 * expected - 4.7750 * expected**3 + 2.0315 * expected**5
    torch.testing.assert_close(rotated, torch.diag(expected), rtol=0, atol=1e-4)


def test_directions_with_next_to_no_gradient_stay_finite_and_bounded() -> None:
    left, _ = torch.linalg.qr(torch.randn(16, 16, generator=_generator()))
    right, _ = torch.linalg.qr(torch.randn(144, 16, generator=_generator()))
    for matrix in (left @ torch.diag(torch.logspace(0, -8, 16)) @ right.T, torch.ones(16, 144)):
        assert float(torch.linalg.svdvals(orthogonalize(matrix)).max()) < 1.3


def test_the_scale_of_a_gradient_has_no_effect_and_zero_stays_zero() -> None:
    matrix = torch.randn(6, 10, generator=_generator())
    torch.testing.assert_close(orthogonalize(matrix * 1e-4), orthogonalize(matrix))
    assert torch.equal(orthogonalize(torch.zeros(3, 5)), torch.zeros(3, 5))


def _groups(weight: nn.Parameter, decay: float) -> list[dict[str, object]]:
    return [
        {"params": [weight], "weight_decay": decay, "lr": 0.1, "orthogonalized": True, "betas": (0.95, 0.999)},
        {"params": [], "weight_decay": 0.0, "lr": 0.1, "orthogonalized": False, "betas": (0.9, 0.999)},
    ]  # fmt: skip


@pytest.mark.parametrize("shape", [(4, 3, 3, 3), (12, 5)])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_it_takes_the_steps_of_pytorchs(shape: tuple[int, ...], decay: float) -> None:
    first = torch.randn(shape, generator=_generator())
    weight = nn.Parameter(first.clone())
    matrix = nn.Parameter(first.flatten(1).clone())
    own = Muon(_groups(weight, decay), lr=0.1)  # type: ignore[arg-type]
    reference = torch.optim.Muon([matrix], lr=0.1, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
    generator = _generator()
    for _ in range(5):
        gradient = torch.randn(shape, generator=generator)
        weight.grad = gradient.clone()
        matrix.grad = gradient.flatten(1)
        own.write_rates()
        own.step()
        reference.step()
    # PyTorch computes in bfloat16.
    change = (matrix.detach() - first.flatten(1)).norm()
    assert float((weight.detach().flatten(1) - matrix.detach()).norm() / change) < 0.03


def test_a_step_has_the_size_of_adamws() -> None:
    weight = nn.Parameter(torch.zeros(16, 8, 3, 3))
    weight.grad = torch.randn(weight.shape, generator=_generator())
    optimizer = Muon(_groups(weight, 0.1), lr=0.1)  # type: ignore[arg-type]
    optimizer.write_rates()
    optimizer.step()
    assert float(weight.detach().square().mean().sqrt()) == pytest.approx(0.1 * 0.2, rel=0.2)


def _train(makes: int, optimizer: str = "muon", num_steps: int = 12) -> tuple[list[Tensor], nn.Module]:
    """Weights after random gradients, with the optimiser made anew from its state so many times."""
    torch.manual_seed(0)
    network = build_network(VggArchitecture(stem_width=4, depths=(1, 1), widths=(4, 8)), 1, 10)
    network = network.to(memory_format=torch.channels_last)
    recipe = Recipe(optimizer=optimizer, learning_rate=0.01, norm_rate_factor=4, schedule=Schedule(name="one_cycle"))
    states, generator = None, _generator()
    for _ in range(makes):
        made = make_optimizer(recipe, network)
        schedule = LearningRateSchedule(recipe, made, num_steps)
        if states is not None:
            restore_optimizer(made, states[0])
            schedule.load(states[1])
        for _ in range(num_steps // makes):
            for parameter in network.parameters():
                parameter.grad = torch.empty_like(parameter).copy_(torch.randn(parameter.shape, generator=generator))
            if isinstance(made, Muon):
                made.write_rates()
            made.step()
            schedule.after_step()
        states = optimizer_state(made), schedule.state()
    return [parameter.detach() for parameter in network.parameters()], network


def test_resumed_it_takes_the_same_steps() -> None:
    (expected, _), (resumed, _) = _train(1), _train(3)
    assert all(torch.equal(a, b) for a, b in zip(expected, resumed, strict=True))


def test_all_but_hidden_matrices_take_the_steps_of_adamw() -> None:
    (muon, network), (adamw, _) = _train(1), _train(1, "adamw")
    differs = {
        name: not torch.allclose(a, b, rtol=1e-4, atol=1e-6)
        for (name, _), a, b in zip(network.named_parameters(), muon, adamw, strict=True)
    }
    assert {name for name, different in differs.items() if different} == {
        "stem.0.convolution.kernel.weight", "stages.0.convolution.kernel.weight", "stages.2.convolution.kernel.weight",
    }  # fmt: skip


def test_momentum_of_a_constant_schedule_is_that_of_each_group() -> None:
    network = build_network(VggArchitecture(stem_width=4, depths=(1, 1), widths=(4, 8)), 1, 10)
    made = make_optimizer(Recipe(optimizer="muon", schedule=Schedule(name="constant")), network)
    momenta = {group["orthogonalized"]: group["betas"][0] for group in made.param_groups}
    assert momenta == {True: 0.95, False: 0.9}
