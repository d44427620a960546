"""Orthogonality defects in float64, compared with explicit self-convolutions and explicit matrices."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.training.optimization.orthogonality import (
    convolutional_defect,
    kernel_defect,
    layer_defects,
    mean_defect,
    orthogonality_penalty,
)
from tests.unit.training.examples import small_network


def _weight(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) / 3


def _self_convolution(weight: Tensor, stride: int) -> float:
    """‖Conv(K, K) - I‖² by algorithm 1 of the paper, over all shifts at which the kernel overlaps itself."""
    padding = tuple((size - 1) // stride * stride for size in weight.shape[2:])
    taps = functional.conv2d(weight, weight, stride=stride, padding=padding)
    target = torch.zeros_like(taps)
    target[:, :, taps.shape[2] // 2, taps.shape[3] // 2] = torch.eye(len(weight))
    return float((taps - target).square().sum())


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("shape", [(3, 5, 3, 3), (4, 4, 5, 5), (2, 6, 1, 1), (3, 4, 1, 3), (3, 4, 3, 1), (5, 5, 2, 3)])
def test_wide_layers_are_the_papers_self_convolution(shape: tuple[int, ...], stride: int) -> None:
    weight = _weight(*shape)
    expected = _self_convolution(weight, stride)
    assert float(convolutional_defect(weight, (stride, stride))) == pytest.approx(expected, rel=1e-10)


def _matrix(weight: Tensor, stride: int, size: int) -> Tensor:
    """Matrix 𝒦 on a torus of size × size pixels, one column per input value, from convolved unit images."""
    inputs = weight.shape[1]
    units = torch.eye(inputs * size * size, dtype=torch.float64).reshape(-1, inputs, size, size)
    padded = functional.pad(units, (0, weight.shape[3] - 1, 0, weight.shape[2] - 1), mode="circular")
    return functional.conv2d(padded, weight, stride=stride).flatten(1).T


@pytest.mark.parametrize(
    ("shape", "stride"),
    [((3, 5, 3, 3), 1), ((7, 2, 3, 3), 1), ((3, 2, 3, 3), 2), ((11, 2, 3, 3), 2), ((6, 2, 1, 3), 1)],
)
def test_it_is_the_distance_of_the_matrix_a_pixel(shape: tuple[int, ...], stride: int) -> None:
    weight, size = _weight(*shape), 12
    matrix = _matrix(weight, stride, size)
    rows, columns = matrix.shape
    gram = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
    expected = (gram - torch.eye(len(gram))).square().sum() / (size // stride) ** 2
    assert float(convolutional_defect(weight, (stride, stride))) == pytest.approx(float(expected), rel=1e-10)


@pytest.mark.parametrize("shape", [(3, 5, 3, 3), (50, 2, 3, 3), (4, 4, 1, 1)])
def test_kernel_form(shape: tuple[int, ...]) -> None:
    weight = _weight(*shape)
    matrix = weight.flatten(1).numpy()
    gram = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    expected = sum((gram[i, j] - (i == j)) ** 2 for i in range(len(gram)) for j in range(len(gram)))
    assert float(kernel_defect(weight)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("outputs", "inputs"), [(4, 4), (3, 6), (6, 3)])
def test_an_orthogonal_convolution_has_none(outputs: int, inputs: int) -> None:
    orthogonal, _ = torch.linalg.qr(_weight(max(outputs, inputs), min(outputs, inputs)))
    weight = torch.zeros(outputs, inputs, 3, 3, dtype=torch.float64)
    weight[:, :, 1, 1] = orthogonal if outputs > inputs else orthogonal.T
    assert float(convolutional_defect(weight)) == pytest.approx(0.0, abs=1e-20)
    # With a single nonzero tap and fewer inputs than outputs, the kernels cannot all be orthonormal.
    assert float(kernel_defect(weight)) == pytest.approx(max(0, outputs - inputs), abs=1e-20)


def test_an_orthogonal_kernel_need_not_be_an_orthogonal_convolution() -> None:
    weight = torch.full((1, 1, 1, 3), 1 / math.sqrt(3), dtype=torch.float64)
    assert float(kernel_defect(weight)) == pytest.approx(0.0, abs=1e-20)
    # Shifted by one it overlaps itself in two of three taps, by two in one: 2 (4/9 + 1/9).
    assert float(convolutional_defect(weight)) == pytest.approx(2 * (4 + 1) / 9)


def test_groups_are_layers_of_their_own() -> None:
    weight = _weight(6, 2, 3, 3)
    for defect in (kernel_defect, convolutional_defect):
        parts = sum(float(defect(part)) for part in weight.split(2))
        assert float(defect(weight, groups=3)) == pytest.approx(parts)


@pytest.mark.parametrize("stride", [(1, 1), (2, 2)])
def test_gradient_agrees_with_finite_differences(stride: tuple[int, int]) -> None:
    for shape in ((2, 3, 3, 3), (5, 1, 3, 3)):
        weight = _weight(*shape).requires_grad_()
        assert torch.autograd.gradcheck(lambda weight: convolutional_defect(weight, stride), weight)
        assert torch.autograd.gradcheck(kernel_defect, weight)


def test_the_penalty_sums_and_the_figure_averages_all_convolutions() -> None:
    network = nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.Sequential(nn.Conv2d(4, 4, 3, groups=4)), nn.Linear(4, 2))
    wide, depthwise = network[0].weight.detach(), network[1][0].weight.detach()
    parts = [float(convolutional_defect(wide, (2, 2))), float(convolutional_defect(depthwise, groups=4))]
    assert orthogonality_penalty(network, "convolution").item() == pytest.approx(sum(parts))
    # Four rows of eight columns, and four groups of one row.
    assert mean_defect(network) == pytest.approx((parts[0] / 4 + parts[1] / 4) / 2)
    kernels = float(kernel_defect(wide)) + float(kernel_defect(depthwise, groups=4))
    assert orthogonality_penalty(network, "kernel").item() == pytest.approx(kernels)
    for convolution in (network[0], network[1][0]):
        nn.init.zeros_(convolution.weight)
    assert mean_defect(network) == pytest.approx(1.0)


def test_a_network_without_convolutions_has_no_figure() -> None:
    network = nn.Sequential(nn.Linear(4, 2))
    assert layer_defects(network) == ()
    assert mean_defect(network) is None


@pytest.mark.parametrize("form", ["convolution", "kernel"])
def test_descent_on_the_penalty_lowers_the_defect(form: str) -> None:
    network = small_network()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    penalty, before = orthogonality_penalty(network, form), mean_defect(network)
    first = penalty.item()
    for _ in range(200):
        optimizer.zero_grad()
        penalty.backward()
        optimizer.step()
        penalty = orthogonality_penalty(network, form)
    assert penalty.item() < first / 10
    if form == "convolution":
        assert mean_defect(network) < before / 10


def test_layers_are_measured_one_by_one_in_forward_order() -> None:
    zeros = nn.Conv2d(2, 2, 3, bias=False)
    nn.init.zeros_(zeros.weight)
    identity = nn.Conv2d(2, 2, 1, bias=False)
    nn.init.eye_(identity.weight[:, :, 0, 0])
    network = nn.Sequential(zeros, nn.ReLU(), identity)
    assert layer_defects(network) == pytest.approx((1.0, 0.0), abs=1e-6)
    assert mean_defect(network) == pytest.approx(0.5)
