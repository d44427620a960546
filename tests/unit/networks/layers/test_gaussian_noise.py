"""Noise and dropout layers: positions, statistics, and no effect in evaluation."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.networks.build_network import build_network
from nas.networks.layers.convolution import ConvNormAct, Convolution
from nas.networks.layers.gaussian_noise import GaussianNoise
from nas.networks.network_interface import Network
from tests.unit.networks.examples import FAMILIES, architecture


def executed(network: Network, kind: type[nn.Module]) -> list[nn.Module]:
    """Return the modules of a kind in the order in which the forward pass finishes them."""
    order: list[nn.Module] = []
    handles = [
        module.register_forward_hook(lambda module, _inputs, _outputs: order.append(module))
        for module in network.modules()
        if isinstance(module, kind)
    ]
    network(torch.randn(2, 1, 16, 16))
    for handle in handles:
        handle.remove()
    return order


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("factorized", [False, True])
@pytest.mark.parametrize("normalization", ["batch", "none"])
def test_noise_follows_exactly_the_first_six_convolutions(family: str, factorized: bool, normalization: str) -> None:
    genes = {"depths": (2, 4), "factorized": factorized, "normalization": normalization}
    network = build_network(architecture(family, noise_std=0.25, **genes), 1, 3)
    convolutions = executed(network, Convolution)
    noises = executed(network, GaussianNoise)
    assert len(convolutions) > 6
    assert [list(convolution.children())[-1] for convolution in convolutions[:6]] == noises
    assert all(isinstance(noise, GaussianNoise) and noise.std == 0.25 for noise in noises)
    assert not any(isinstance(module, GaussianNoise) for later in convolutions[6:] for module in later.modules())


def test_projection_counts_after_the_residual_branch() -> None:
    network = build_network(architecture("resnet", stem_width=8, widths=(16, 16), depths=(1, 1), noise_std=0.1), 1, 3)
    names = [name for name, module in network.named_modules() if isinstance(module, GaussianNoise)]
    assert names == [
        "stem.0.convolution.noise",
        "stages.0.residual.0.convolution.noise",
        "stages.0.residual.1.convolution.noise",
        "stages.0.shortcut.convolution.noise",
        "stages.1.residual.0.convolution.noise",
        "stages.1.residual.1.convolution.noise",
    ]


def test_small_network_gets_noise_after_each_convolution() -> None:
    network = build_network(architecture("vgg", depths=(1, 1), noise_std=0.1), 1, 3)
    assert len(executed(network, GaussianNoise)) == len(executed(network, Convolution)) == 3


def test_noise_has_its_standard_deviation_in_training_only() -> None:
    torch.manual_seed(0)
    noise = GaussianNoise(0.3)
    inputs = torch.full((100_000,), 2.0)
    noisy = noise(inputs)
    assert noisy.mean().item() == pytest.approx(2.0, abs=0.01)
    assert noisy.std().item() == pytest.approx(0.3, rel=0.02)
    assert torch.equal(noise.eval()(inputs), inputs)


@pytest.mark.parametrize("family", FAMILIES)
def test_zero_noise_and_dropout_add_no_module(family: str) -> None:
    network = build_network(architecture(family), 1, 3)
    assert not any(isinstance(module, GaussianNoise | nn.Dropout) for module in network.modules())


@pytest.mark.parametrize("family", FAMILIES)
def test_dropout_ends_the_stem_and_the_head(family: str) -> None:
    network = build_network(architecture(family, dropout_first=0.2, dropout_head=0.4, head_widths=(7,)), 1, 3)
    probabilities = {name: module.p for name, module in network.named_modules() if isinstance(module, nn.Dropout)}
    stem = list(network.get_submodule("stem").children())
    head = list(network.get_submodule("head").children())
    assert sorted(probabilities.values()) == [0.2, 0.4]
    assert isinstance(stem[-1], nn.Dropout)
    assert stem[-1].p == 0.2
    assert isinstance(head[-1], nn.Dropout)
    assert isinstance(stem[-2], Convolution if family == "densenet" else ConvNormAct)


@pytest.mark.parametrize("genes", [{"noise_std": 0.1}, {"dropout_first": 0.5}, {"dropout_head": 0.5}])
@pytest.mark.parametrize("family", FAMILIES)
def test_each_kind_of_noise_changes_training_alone(family: str, genes: dict[str, float]) -> None:
    network = build_network(architecture(family, **genes), 1, 3)
    images = torch.randn(2, 1, 12, 12)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_noise_is_normal_and_keeps_the_layout(memory_format: torch.memory_format, dtype: torch.dtype) -> None:
    inputs = torch.full((16, 8, 20, 20), 3.0, dtype=dtype).contiguous(memory_format=memory_format)
    torch.manual_seed(0)
    noisy = GaussianNoise(0.5).train()(inputs)
    assert noisy.is_contiguous(memory_format=memory_format)
    assert noisy.dtype == dtype
    noise = (noisy.double() - 3.0) / 0.5
    assert abs(float(noise.mean())) < 0.02
    assert float(noise.std()) == pytest.approx(1.0, abs=0.02)
    # Numbers are drawn independently: neighbours along every axis are uncorrelated.
    for axis in range(4):
        assert abs(float((noise * noise.roll(1, axis)).mean())) < 0.02
