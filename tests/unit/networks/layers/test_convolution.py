"""Plain and factorised convolutions: size, equivalence and initial weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nas.networks.build_network import build_network
from nas.networks.layers.convolution import Convolution
from tests.unit.networks.examples import FAMILIES, architecture


def num_params(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("in_width", "out_width", "kernel_size", "depthwise", "whole", "factorized"),
    [
        (8, 16, 3, False, 1152, 576),
        (16, 8, 5, False, 3200, 960),
        (16, 16, 3, False, 2304, 1536),
        (1024, 4, 3, False, 36864, 12336),
        (16, 16, 3, True, 144, 96),
        (16, 16, 5, True, 400, 160),
        (16, 16, 7, True, 784, 224),
    ],
)
def test_factorized_convolution_is_smaller(
    in_width: int, out_width: int, kernel_size: int, depthwise: bool, whole: int, factorized: int
) -> None:
    def count(is_factorized: bool) -> int:
        return num_params(
            Convolution(in_width, out_width, kernel_size, depthwise=depthwise, factorized=is_factorized, bias=False)
        )

    assert (count(False), count(True)) == (whole, factorized)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kernel_size", [3, 5, 7])
@pytest.mark.parametrize("normalization", ["batch", "none"])
def test_factorized_network_is_smaller(family: str, kernel_size: int, normalization: str) -> None:
    genes = {"kernel_size": kernel_size, "normalization": normalization}
    whole = build_network(architecture(family, **genes), 1, 5)
    factorized = build_network(architecture(family, factorized=True, **genes), 1, 5)
    assert num_params(factorized) < num_params(whole)


@pytest.mark.parametrize("family", FAMILIES)
def test_stem_is_never_factorized_and_all_else_is(family: str) -> None:
    network = build_network(architecture(family, factorized=True, kernel_size=5), 1, 5)
    stem, *others = [module for module in network.modules() if isinstance(module, Convolution)]
    sizes = [tuple(part.kernel_size for part in other.parts) for other in others]
    assert [part.kernel_size for part in stem.parts] == [(5, 5)]
    assert ((1, 5), (5, 1)) in sizes
    assert set(sizes) <= {((1, 5), (5, 1)), ((1, 1),)}


def composed_kernel(convolution: Convolution, depthwise: bool) -> Tensor:
    """Compose a 1×k and a k×1 kernel into one k×k kernel."""
    row, column = (part.weight for part in convolution.parts)
    if depthwise:
        return torch.einsum("cuw,cuh->cuhw", row[:, :, 0], column[:, :, :, 0])
    return torch.einsum("miw,omh->oihw", row[:, :, 0], column[:, :, :, 0])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_factorized_convolution_is_one_of_low_rank(stride: int, depthwise: bool, kernel_size: int) -> None:
    torch.manual_seed(0)
    out_width = 6 if depthwise else 4
    convolution = Convolution(6, out_width, kernel_size, stride, depthwise=depthwise, factorized=True).double()
    images = torch.randn(2, 6, 9, 13, dtype=torch.float64)
    expected = nn.functional.conv2d(
        images,
        composed_kernel(convolution, depthwise),
        convolution.parts[-1].bias,
        stride,
        kernel_size // 2,
        groups=6 if depthwise else 1,
    )
    torch.testing.assert_close(convolution(images), expected)


@pytest.mark.parametrize("factorized", [False, True])
@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
def test_stride_halves_and_rounds_up(factorized: bool, kernel_size: int) -> None:
    images = torch.zeros(1, 2, 9, 14)
    assert Convolution(2, 3, kernel_size, factorized=factorized)(images).shape == (1, 3, 9, 14)
    assert Convolution(2, 3, kernel_size, 2, factorized=factorized)(images).shape == (1, 3, 5, 7)


@pytest.mark.parametrize("factorized", [False, True])
@pytest.mark.parametrize("depthwise", [False, True])
def test_initial_weights_keep_the_second_moment(factorized: bool, depthwise: bool) -> None:
    torch.manual_seed(0)
    convolution = Convolution(256, 256, 3, depthwise=depthwise, factorized=factorized)
    convolution.initialize(gain=1.5)
    with torch.no_grad():
        interior = convolution(torch.randn(8, 256, 12, 12))[:, :, 1:-1, 1:-1]
    assert interior.std().item() == pytest.approx(1.5, rel=0.1)


def test_gain_zero_leaves_a_gradient() -> None:
    convolution = Convolution(4, 4, 3, factorized=True)
    convolution.initialize(gain=0.0)
    outputs = convolution(torch.randn(2, 4, 8, 8))
    outputs.sum().backward()
    assert outputs.abs().max().item() == 0.0
    assert convolution.column.weight.grad is not None
    assert convolution.column.weight.grad.abs().max().item() > 0.0
