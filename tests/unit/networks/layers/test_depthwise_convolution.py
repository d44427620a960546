"""Depthwise convolutions: composed gradients against autograd's."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from nas.networks.layers import depthwise_convolution as module
from nas.networks.layers.depthwise_convolution import DepthwiseConvolution, DepthwiseFunction

CASES = [
    (kernel, stride)
    for kernel in [(3, 3), (5, 5), (7, 7), (1, 3), (3, 1), (1, 5), (5, 1)]
    for stride in [(1, 1), (2, 2), (1, 2), (2, 1)]
]


@pytest.mark.parametrize(("kernel", "stride"), CASES)
@pytest.mark.parametrize("side", [9, 8])
def test_gradients_in_float64(kernel: tuple[int, int], stride: tuple[int, int], side: int) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(2, 3, side, side + 1, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 1, *kernel, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)
    padding = (kernel[0] // 2, kernel[1] // 2)
    ours = DepthwiseFunction.apply(inputs, weight, bias, stride, padding)
    theirs = functional.conv2d(inputs, weight, bias, stride, padding, groups=3)
    assert torch.equal(ours, theirs)
    gradient = torch.randn_like(ours)
    for mine, expected in zip(
        torch.autograd.grad(ours, (inputs, weight, bias), gradient),
        torch.autograd.grad(theirs, (inputs, weight, bias), gradient),
        strict=True,
    ):
        torch.testing.assert_close(mine, expected)


@pytest.mark.parametrize(("kernel", "stride"), [((5, 5), 1), ((3, 3), 2)])
@pytest.mark.parametrize("bias", [False, True])
def test_under_autocast_it_is_the_float32_convolution_to_bfloat16s_precision(
    kernel: tuple[int, int], stride: int, bias: bool
) -> None:
    torch.manual_seed(0)
    padding = (kernel[0] // 2, kernel[1] // 2)
    convolution = DepthwiseConvolution(24, 24, kernel, stride, padding, groups=24, bias=bias)
    inputs = torch.randn(16, 24, 12, 12).contiguous(memory_format=torch.channels_last)
    gradients = {}
    for precision in (torch.bfloat16, torch.float32):
        leaf = inputs.clone().requires_grad_()
        convolution.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            outputs = convolution(leaf)
        assert outputs.dtype == precision
        outputs.float().square().sum().backward()
        gradients[precision] = [leaf.grad, *(parameter.grad for parameter in convolution.parameters())]
    for ours, theirs in zip(gradients[torch.bfloat16], gradients[torch.float32], strict=True):
        assert ours is not None
        assert theirs is not None
        assert float((ours - theirs).norm() / theirs.norm()) < 0.01


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """Types of the convolutions whose gradients are composed."""
    dtypes: list[torch.dtype] = []
    apply = DepthwiseFunction.apply

    def record(inputs: torch.Tensor, *others: object) -> torch.Tensor:
        dtypes.append(inputs.dtype)
        outputs: torch.Tensor = apply(inputs, *others)
        return outputs

    monkeypatch.setattr(module.DepthwiseFunction, "apply", record)
    return dtypes


@pytest.mark.parametrize("kernel", [5, 7])
@pytest.mark.parametrize("bias", [False, True])
def test_in_float32_the_gradients_of_wide_kernels_are_autograds(
    composed: list[torch.dtype], kernel: int, bias: bool
) -> None:
    torch.manual_seed(0)
    convolution = DepthwiseConvolution(24, 24, kernel, 1, kernel // 2, groups=24, bias=bias)
    reference = nn.Conv2d(24, 24, kernel, 1, kernel // 2, groups=24, bias=bias)
    reference.load_state_dict(convolution.state_dict())
    inputs = torch.randn(16, 24, 12, 13).contiguous(memory_format=torch.channels_last)
    gradient = torch.randn(16, 24, 12, 13)
    results = []
    for layer in (convolution, reference, copy.deepcopy(reference).double()):
        leaf = inputs.clone().to(layer.weight.dtype).requires_grad_()
        layer.zero_grad()
        outputs = layer(leaf)
        outputs.backward(gradient.to(outputs.dtype))
        results.append([outputs.detach(), leaf.grad, *(parameter.grad for parameter in layer.parameters())])
    assert composed == [torch.float32]
    for ours, autograds, expected in zip(*results, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, autograds, rtol=1e-4, atol=1e-4)
        assert float((ours.double() - expected).norm() / expected.norm()) < 1e-6


@pytest.mark.parametrize(("kernel", "stride"), [((3, 3), (1, 1)), ((5, 5), (2, 2)), ((1, 5), (1, 1)), ((5, 1), (1, 1))])
def test_in_float32_other_kernels_take_pytorchs_way(
    composed: list[torch.dtype], kernel: tuple[int, int], stride: tuple[int, int]
) -> None:
    padding = (kernel[0] // 2, kernel[1] // 2)
    convolution = DepthwiseConvolution(8, 8, kernel, stride, padding, groups=8)
    convolution(torch.randn(2, 8, 9, 9)).sum().backward()
    assert composed == []
    assert convolution.weight.grad is not None


def test_without_gradients_and_in_a_trace_it_is_a_plain_convolution(composed: list[torch.dtype]) -> None:
    convolution, inputs = DepthwiseConvolution(8, 8, 5, 1, 2, groups=8), torch.randn(2, 8, 9, 9)
    with torch.no_grad():
        convolution(inputs)
    traced = torch.jit.trace(convolution, inputs)
    assert composed == []
    assert "aten::_convolution" in str(traced.inlined_graph)
