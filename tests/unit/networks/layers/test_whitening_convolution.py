from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nas.networks.build_network import build_network
from nas.networks.layers.whitening_convolution import WhiteningConvolution
from nas.networks.parameter_and_flop_count import measure_cost
from tests.unit.networks.examples import FAMILIES, architecture


def _smooth_images(channels: int) -> Tensor:
    images = torch.randn(600, channels, 12, 13, generator=torch.Generator().manual_seed(0))
    return functional.avg_pool2d(images, 3, stride=1) + 0.2


@pytest.mark.parametrize(("channels", "kernel_size"), [(1, 3), (3, 3), (3, 1)])
def test_outputs_are_decorrelated_and_each_has_its_negative(channels: int, kernel_size: int) -> None:
    convolution, images = WhiteningConvolution(channels, kernel_size), _smooth_images(channels)
    convolution.whiten(images)
    with torch.no_grad():
        outputs = functional.conv2d(images, convolution.weight)
    half = channels * kernel_size**2
    assert torch.equal(outputs[:, :half], -outputs[:, half:])
    flat = outputs[:, :half].transpose(0, 1).flatten(1).double()
    second_moments = flat @ flat.T / flat.shape[1]
    # The largest components are whitened completely; the least variance is added to that of the smallest.
    assert float((second_moments - torch.diag(second_moments.diag())).abs().max()) < 1e-3
    assert float(second_moments[0, 0]) == pytest.approx(1.0, abs=0.01)
    assert float(second_moments.diag().max()) < 1.001
    assert torch.equal(second_moments.diag().argsort(descending=True)[:2], torch.arange(2))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_whitened_stem_has_fixed_filters_and_a_trained_1x1_convolution(family: str) -> None:
    network = build_network(architecture(family, whitened_stem=True, stem_stride=2, strides=(1, 1)), 3, 5)
    frozen = [name for name, parameter in network.named_parameters() if not parameter.requires_grad]
    assert frozen == ["stem.0.weight"]
    stem = network.get_submodule("stem")
    assert stem(torch.randn(2, 3, 9, 8)).shape == (2, 8, 5, 4)
    plain, whitened = (
        measure_cost(architecture(family, whitened_stem=is_whitened), 3, 5, 8, 8) for is_whitened in (False, True)
    )
    # 54 filters of 27 weights and a bias, then 8 of 54, instead of 8 of 27.
    assert whitened.params - plain.params == 54 * 27 + 54 + 8 * 54 - 8 * 27
    assert whitened.trained_params == whitened.params - 54 * 27
