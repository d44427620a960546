"""Properties of every architecture: construction, outputs, gradients, tracing and initial weights."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from nas.networks.build_network import build_network
from nas.networks.layers.activation_and_normalization import ACTIVATION_GAINS, activation_layer
from nas.networks.parameter_and_flop_count import measure_cost
from nas.space.architecture import Architecture, PretrainedArchitecture, ReferenceArchitecture, SearchedArchitecture
from tests.strategies import architectures
from tests.unit.networks.examples import ACTIVATIONS, BLOCK_GENES, FAMILIES, NORMALIZATIONS, architecture

sides = st.integers(8, 64)
num_channels = st.sampled_from([1, 3])

EVERY_KIND: list[Architecture] = [
    *(architecture(family, normalization=kind) for family in FAMILIES for kind in NORMALIZATIONS),
    *(architecture(family, factorized=True, noise_std=0.1, dropout_first=0.1) for family in FAMILIES),
    *(architecture(family, activation="silu", **BLOCK_GENES[family]) for family in FAMILIES),
    ReferenceArchitecture(),
    PretrainedArchitecture(head_widths=(8,)),
]


@settings(max_examples=60, deadline=None)
@given(genes=architectures(), channels=num_channels, height=sides, width=sides, num_classes=st.integers(2, 12))
def test_every_architecture_runs_and_counts(
    genes: SearchedArchitecture, channels: int, height: int, width: int, num_classes: int
) -> None:
    network = build_network(genes, channels, num_classes).eval()
    images = torch.randn(2, channels, height, width)
    with torch.no_grad():
        logits, features = network(images), network.features(images)
    assert logits.shape == (2, num_classes)
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()
    assert torch.equal(logits, network(images))
    assert isinstance(network.classifier, nn.Linear)
    assert features.shape == (2, network.classifier.in_features)
    assert torch.equal(logits, network.classifier(features))
    cost = measure_cost(genes, channels, num_classes, height, width)
    assert cost.params == sum(parameter.numel() for parameter in network.parameters())


@settings(max_examples=40, deadline=None)
@given(genes=architectures(), channels=num_channels, height=st.integers(8, 20), width=st.integers(8, 20))
def test_every_parameter_gets_a_finite_gradient(
    genes: SearchedArchitecture, channels: int, height: int, width: int
) -> None:
    network = build_network(genes, channels, 5).train()
    loss = nn.functional.cross_entropy(network(torch.randn(3, channels, height, width)), torch.tensor([0, 1, 4]))
    # Raises where a trained parameter is not part of the loss.
    gradients = torch.autograd.grad(loss, [parameter for parameter in network.parameters() if parameter.requires_grad])
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert max(gradient.abs().max().item() for gradient in gradients) > 0.0


@pytest.mark.parametrize("family", FAMILIES)
def test_features_end_after_the_hidden_layers(family: str) -> None:
    network = build_network(architecture(family, head_widths=(9, 7)), 1, 3)
    linears = [module for module in network.modules() if isinstance(module, nn.Linear)]
    assert [linear.out_features for linear in linears] == [9, 7, 3]
    assert linears[-1] is network.classifier
    features = network.features(torch.randn(4, 1, 9, 13))
    assert features.shape == (4, 7)
    assert (features >= 0.0).all()


@pytest.mark.parametrize("genes", EVERY_KIND, ids=lambda genes: genes.family)
def test_traced_and_frozen_network_agrees(genes: Architecture) -> None:
    network = build_network(genes, 3, 5).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A tracer warning marks a branch or a number that the trace would turn into a constant.
        warnings.simplefilter("error", TracerWarning)
        traced = torch.jit.freeze(torch.jit.trace(network, torch.randn(1, 3, 13, 9)))  # type: ignore[no-untyped-call]
    for shape in ((1, 3, 13, 9), (4, 3, 28, 28)):
        images = torch.randn(shape)
        torch.testing.assert_close(traced(images), network(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("genes", EVERY_KIND, ids=lambda genes: genes.family)
def test_channels_last_stays_and_agrees(genes: Architecture) -> None:
    network = build_network(genes, 3, 5).eval()
    images = torch.randn(2, 3, 16, 16)
    expected = network(images)
    network = network.to(memory_format=torch.channels_last)
    layouts: list[bool] = []

    def record(_module: nn.Module, _inputs: object, outputs: Tensor) -> None:
        layouts.append(outputs.is_contiguous(memory_format=torch.channels_last))

    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(record)
    torch.testing.assert_close(
        network(images.contiguous(memory_format=torch.channels_last)), expected, rtol=1e-4, atol=1e-4
    )
    assert layouts
    assert all(layouts)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_start_in_a_sane_range(family: str, normalization: str, activation: str) -> None:
    torch.manual_seed(0)
    genes = architecture(
        family, stem_width=16, depths=(5, 5, 5), widths=(16, 24, 32), normalization=normalization, activation=activation
    )
    images = torch.randn(32, 3, 32, 32)
    with torch.no_grad():
        logits_NK = build_network(genes, 3, 62).train()(images)
    assert 0.05 < logits_NK.std().item() < 10.0
    assert logits_NK.std(dim=0).mean().item() > 0.005


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_start_in_a_sane_range_with_other_blocks(family: str) -> None:
    torch.manual_seed(0)
    genes = architecture(family, stem_width=16, depths=(5, 5), widths=(16, 32), **BLOCK_GENES[family])
    with torch.no_grad():
        logits_NK = build_network(genes, 3, 62).train()(torch.randn(32, 3, 32, 32))
    assert 0.05 < logits_NK.std().item() < 10.0
    assert logits_NK.std(dim=0).mean().item() > 0.005


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gain_keeps_the_second_moment(activation: str) -> None:
    inputs = torch.linspace(-12.0, 12.0, 200_001, dtype=torch.float64)
    density = torch.exp(-(inputs**2) / 2.0) / (2.0 * torch.pi) ** 0.5
    gains = {str(name): gain for name, gain in ACTIVATION_GAINS.items()}
    layers = {str(name): activation_layer(name) for name in ACTIVATION_GAINS}
    second_moment = torch.trapezoid(layers[activation](inputs) ** 2 * density, inputs)
    assert gains[activation] ** 2 * second_moment.item() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("genes", EVERY_KIND, ids=lambda genes: genes.family)
def test_initial_weights_come_from_the_global_random_state(genes: Architecture) -> None:
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        network = build_network(genes, 1, 5)
        assert torch.get_default_device() == torch.device("cpu")
        return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
