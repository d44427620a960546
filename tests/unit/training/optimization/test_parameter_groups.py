from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.networks.build_network import build_network
from nas.space.architecture import MobileNetArchitecture, PairArchitecture, PretrainedArchitecture, VggArchitecture
from nas.space.recipe import Recipe, Schedule
from nas.training.optimization.optimizers_and_schedules import LearningRateSchedule, make_optimizer
from nas.training.optimization.parameter_groups import hidden_matrices, parameter_groups
from tests.unit.networks.elastic.test_elastic_network import elastic_network

VGG = VggArchitecture(stem_width=4, depths=(1, 1), widths=(4, 8), head_widths=(8,))


def _names(network: nn.Module, parameters: list[nn.Parameter]) -> set[str]:
    chosen = {id(parameter) for parameter in parameters}
    return {name for name, parameter in network.named_parameters() if id(parameter) in chosen}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_each_parameter_is_in_one_group(optimizer: str) -> None:
    network = build_network(VGG, 1, 10)
    groups = parameter_groups(Recipe(optimizer=optimizer, norm_rate_factor=64), network)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in network.parameters())


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_biases_of_normalisations_alone_have_the_higher_rate(optimizer: str) -> None:
    network = build_network(VGG, 1, 10)
    recipe = Recipe(optimizer=optimizer, learning_rate=0.01, norm_rate_factor=64)
    groups = parameter_groups(recipe, network)
    fast = _names(network, [p for group in groups if group["lr"] != 0.01 for p in group["params"]])
    assert fast == {name for name, _ in network.named_parameters() if name.endswith("normalization.bias")}
    assert len(fast) == 3
    assert {group["lr"] for group in groups} == {0.01, 0.64}
    assert {group["weight_decay"] for group in groups if group["lr"] == 0.64} == {0.0}


@pytest.mark.parametrize("schedule", Schedule.PARAMETERS)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_all_rates_follow_the_schedule(optimizer: str, schedule: str) -> None:
    recipe = Recipe(
        optimizer=optimizer, learning_rate=0.01, norm_rate_factor=8, schedule=Schedule(name=schedule),
        learning_rate_scaling="linear", batch_size=256,
    )  # fmt: skip
    network = build_network(VGG, 1, 10)
    made = make_optimizer(recipe, network)
    scheduled = LearningRateSchedule(recipe, made, 20)
    seen = set()
    for _ in range(20):
        rates = {group["lr"] for group in made.param_groups}
        assert max(rates) == pytest.approx(8 * min(rates))
        seen.add(min(rates))
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        made.step()
        scheduled.after_step()
    assert max(seen) == pytest.approx(0.02, rel=0.02)


def test_matrices_are_those_of_hidden_layers() -> None:
    pair = build_network(
        PairArchitecture(branch=VGG, auxiliary=True, comparison_widths=(4,)), 2, 2, num_part_classes=10
    )
    assert _names(pair, hidden_matrices(pair)) == {
        "branch.stem.0.convolution.kernel.weight", "branch.stages.0.convolution.kernel.weight",
        "branch.stages.2.convolution.kernel.weight", "branch.head.2.weight", "comparison.0.weight",
    }  # fmt: skip


def test_depthwise_kernels_and_frozen_weights_are_no_matrices() -> None:
    mobile = build_network(MobileNetArchitecture(stem_width=4, depths=(1, 1), widths=(4, 8), expansion=2), 1, 10)
    matrices = hidden_matrices(mobile)
    assert len(matrices) == 5
    assert all(matrix.shape[1] > 1 or matrix.shape[0] == 4 for matrix in matrices)
    frozen = build_network(PretrainedArchitecture(frozen=True, head_widths=(8,)), 3, 10)
    assert _names(frozen, hidden_matrices(frozen)) == {"hidden.0.weight"}


def test_the_kernel_transforms_of_an_elastic_network_are_not_decayed() -> None:
    network = elastic_network("vgg", 0)
    assert network.kernel_transforms
    (decayed, _) = parameter_groups(Recipe(), network)[:2]
    names = _names(network, decayed["params"])
    assert "largest.classifier.weight" in names
    assert not names & _names(network, network.kernel_transforms)
