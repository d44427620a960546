from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torchvision.ops import SqueezeExcitation as TorchvisionSqueezeExcitation

from nas.networks.build_network import build_network
from nas.networks.layers.squeeze_excitation import SqueezeExcitation
from nas.training.optimization.orthogonality import orthogonality_penalty
from tests.unit.networks.examples import FAMILIES, architecture


def test_it_is_torchvisions() -> None:
    ours, theirs = SqueezeExcitation(12, 5, "relu"), TorchvisionSqueezeExcitation(12, 5)
    nn.init.normal_(ours.excite.weight)
    for linear, convolution in ((ours.squeeze, theirs.fc1), (ours.excite, theirs.fc2)):
        convolution.load_state_dict({"weight": linear.weight[:, :, None, None], "bias": linear.bias})
    images = torch.randn(3, 12, 7, 4)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))


def test_at_first_all_channels_have_the_factor_0_88() -> None:
    images = torch.randn(3, 8, 5, 6)
    factor = 1 / (1 + math.exp(-2))
    assert factor == pytest.approx(0.88, abs=0.001)
    torch.testing.assert_close(SqueezeExcitation(8, 4, "silu")(images), factor * images)


@pytest.mark.parametrize(
    ("family", "sizes"),
    [
        ("vgg", [(8, 4), (8, 4), (16, 8), (16, 8)]),
        ("resnet", [(8, 4), (8, 4), (16, 8), (16, 8)]),
        # Of the inner channels, four times the input's, and of a dense layer's six new ones.
        ("mobilenet", [(32, 16), (32, 16), (32, 16), (64, 32)]),
        ("densenet", [(6, 4)] * 4),
    ],
)
def test_each_block_has_one_of_half_its_width_and_at_least_four(family: str, sizes: list[tuple[int, int]]) -> None:
    network = build_network(architecture(family, squeeze_ratio=0.5), 1, 3)
    layers = [module for module in network.modules() if isinstance(module, SqueezeExcitation)]
    assert [(layer.squeeze.in_features, layer.squeeze.out_features) for layer in layers] == sizes


@pytest.mark.parametrize("family", FAMILIES)
def test_the_penalty_of_linear_layers_is_that_of_the_head(family: str) -> None:
    torch.manual_seed(0)
    network = build_network(architecture(family, squeeze_ratio=0.5, head_widths=(8,)), 1, 3)
    penalty = orthogonality_penalty(network, "linear")
    layers = nn.Sequential(network.get_submodule("head"), network.classifier)
    assert penalty.item() == pytest.approx(orthogonality_penalty(layers, "linear").item())
