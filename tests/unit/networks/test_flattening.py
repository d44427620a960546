"""Families that flatten (plain CNN and MLP) against the same layers composed by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nas.errors import ArchitectureError
from nas.networks.build_network import build_network
from nas.networks.layers.gaussian_noise import GaussianNoise
from nas.networks.parameter_and_flop_count import count_params, measure_cost
from nas.results.network_cost import Cost
from nas.space.architecture import FlatteningArchitecture, MlpArchitecture, PlainArchitecture

SMALL = PlainArchitecture(widths=(4, 6), padded=True, head_widths=(7,))
BOTH: tuple[FlatteningArchitecture, ...] = (SMALL, MlpArchitecture(widths=(8, 5)))

widths = st.integers(4, 9)
plain_architectures = st.builds(
    PlainArchitecture,
    widths=st.lists(widths, min_size=1, max_size=5).map(tuple),
    kernel_size=st.sampled_from([1, 3, 5, 7]),
    padded=st.booleans(),
    normalization=st.sampled_from(["batch", "none"]),
    head_widths=st.lists(widths, max_size=2).map(tuple),
    dropout_first=st.sampled_from([0.0, 0.2]),
    dropout_head=st.sampled_from([0.0, 0.2]),
    noise_std=st.sampled_from([0.0, 0.1]),
)


def _with_weights_of(layers: nn.Sequential, network: nn.Module) -> nn.Sequential:
    weights = list(network.state_dict().values())
    layers.load_state_dict(dict(zip(layers.state_dict(), weights, strict=True)))
    return layers


@torch.no_grad()
def test_plain_is_the_network_that_one_would_write_for_cifar() -> None:
    genes = PlainArchitecture(widths=(32, 64, 128), head_widths=(256, 128, 64), dropout_head=0.3)
    network = build_network(genes, 3, 10, (32, 32)).eval()
    layers = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 128, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 256), nn.ReLU(),
        nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip
    images = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(network(images), _with_weights_of(layers, network)(images))
    assert count_params(genes, 3, 10, (32, 32)) == sum(parameter.numel() for parameter in layers.parameters())


@torch.no_grad()
def test_an_mlp_is_the_network_that_one_would_write_for_mnist() -> None:
    network = build_network(MlpArchitecture(widths=(500, 300), dropout=0.5), 1, 10, (28, 28)).eval()
    layers = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 500), nn.ReLU(), nn.Linear(500, 300), nn.ReLU(), nn.Linear(300, 10)
    )
    images = torch.randn(3, 1, 28, 28)
    expected = _with_weights_of(layers, network)(images)
    torch.testing.assert_close(network(images), expected)
    torch.testing.assert_close(network(images.contiguous(memory_format=torch.channels_last)), expected)


def test_costs_by_hand() -> None:
    conv = (9 * 1 * 4 + 4) + (9 * 4 * 6 + 6)
    head = (6 * 2 * 1 * 7 + 7) + (7 * 3 + 3)
    flops = 8 * 6 * 9 * 4 + 4 * 3 * 9 * 4 * 6 + 12 * 7 + 7 * 3
    assert measure_cost(SMALL, 1, 3, 8, 6) == Cost(params=conv + head, flops=flops)
    mlp = (2 * 5 * 4 * 8 + 8) + (8 * 5 + 5) + (5 * 3 + 3)
    assert measure_cost(BOTH[1], 2, 3, 5, 4) == Cost(params=mlp, flops=2 * 5 * 4 * 8 + 8 * 5 + 5 * 3)


@settings(max_examples=40, deadline=None)
@given(genes=plain_architectures, rows=st.integers(1, 40), columns=st.integers(1, 40))
def test_plain_fits_every_image_that_it_does_not_refuse(genes: PlainArchitecture, rows: int, columns: int) -> None:
    try:
        rows_left, columns_left = genes.map_sizes((rows, columns))[-1]
    except ArchitectureError:
        with pytest.raises(ArchitectureError):
            measure_cost(genes, 1, 3, rows, columns)
        # PyTorch's own sizes leave no pixel either.
        side = min(rows, columns)
        for _ in genes.widths:
            side = (side - (0 if genes.padded else genes.kernel_size - 1)) // 2
        assert side < 1
        return
    network = build_network(genes, 1, 3, (rows, columns)).train()
    images = torch.randn(2, 1, rows, columns)
    # Raises where a parameter is not part of the loss.
    torch.autograd.grad(network(images).square().sum(), list(network.parameters()))
    network.eval()
    with torch.no_grad():
        logits, features = network(images), network.features(images)
    assert torch.equal(logits, network.classifier(features))
    assert genes.head_widths or features.shape == (2, genes.widths[-1] * rows_left * columns_left)


def test_sides_follow_padding_and_pooling() -> None:
    assert PlainArchitecture(widths=(32, 64, 128), padded=True).map_sizes((14, 14)) == ((7, 7), (3, 3), (1, 1))
    assert PlainArchitecture(widths=(32, 64, 128)).map_sizes((32, 28)) == ((15, 13), (6, 5), (2, 1))


@pytest.mark.parametrize(
    ("genes", "message"),
    [
        (
            PlainArchitecture(widths=(8, 8, 8)),
            "images of 14×14 pixels are too small for 3 blocks of an unpadded 3×3 convolution and a 2×2 pooling: "
            "block 3 would have nothing left of 2×2; take fewer widths, or padded = true",
        ),
        (
            PlainArchitecture(widths=(8, 8, 8, 8), padded=True, kernel_size=5),
            "images of 14×14 pixels are too small for 4 blocks of a padded 5×5 convolution and a 2×2 pooling: "
            "block 4 would have nothing left of 1×1; take fewer widths",
        ),
    ],
)
def test_images_that_are_too_small_are_refused_in_a_line(genes: PlainArchitecture, message: str) -> None:
    with pytest.raises(ArchitectureError) as raised:
        build_network(genes, 1, 10, (14, 14))
    assert str(raised.value) == message


@pytest.mark.parametrize("genes", BOTH, ids=lambda genes: genes.family)
def test_they_are_built_for_images_of_one_size(genes: FlatteningArchitecture) -> None:
    with pytest.raises(ValueError, match=f"{genes.family!r} is built for images of one size"):
        build_network(genes, 1, 10)


@pytest.mark.parametrize("genes", BOTH, ids=lambda genes: genes.family)
def test_traced_and_frozen_they_agree(genes: FlatteningArchitecture) -> None:
    network = build_network(genes, 3, 5, (13, 9)).eval()
    traced = torch.jit.freeze(torch.jit.trace(network, torch.randn(1, 3, 13, 9)))  # type: ignore[no-untyped-call]
    images = torch.randn(4, 3, 13, 9)
    torch.testing.assert_close(traced(images), network(images), rtol=1e-4, atol=1e-4)


def test_noise_and_dropout_are_where_the_genes_say() -> None:
    genes = PlainArchitecture(widths=(4, 4, 4), padded=True, noise_std=0.1, dropout_first=0.2, dropout_head=0.4)
    network = build_network(genes, 1, 3, (8, 8))
    assert sum(isinstance(module, GaussianNoise) for module in network.modules()) == 3
    assert [module.p for module in network.modules() if isinstance(module, nn.Dropout)] == [0.2, 0.4]
    mlp = build_network(MlpArchitecture(widths=(8, 8, 8), dropout=0.25), 1, 3, (8, 8))
    assert [module.p for module in mlp.modules() if isinstance(module, nn.Dropout)] == [0.25] * 3


@pytest.mark.parametrize(
    "genes",
    [PlainArchitecture(widths=(32, 64, 128), head_widths=(256, 128, 64)), MlpArchitecture(widths=(500,) * 4)],
    ids=lambda genes: genes.family,
)
@torch.no_grad()
def test_logits_start_in_a_sane_range(genes: FlatteningArchitecture) -> None:
    torch.manual_seed(0)
    logits_NK: Tensor = build_network(genes, 3, 10, (32, 32)).train()(torch.randn(32, 3, 32, 32))
    assert 0.3 < logits_NK.std().item() < 3.0
