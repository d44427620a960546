"""Parameters and FLOPs against a sum by hand, published numbers and PyTorch's own counter."""

from __future__ import annotations

import logging
import warnings

import pytest
import torch
from hypothesis import example, given, settings
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nas.networks.build_network import build_network
from nas.networks.parameter_and_flop_count import Cost, measure_cost
from nas.space.architecture import (
    MobileNetArchitecture,
    ReferenceArchitecture,
    SearchedArchitecture,
    VggArchitecture,
)
from tests.strategies import architectures


def test_small_vgg_by_hand() -> None:
    genes = VggArchitecture(stem_width=4, depths=(1, 1), widths=(4, 8), normalization="none")
    params = (9 * 4 + 4) + (9 * 4 * 4 + 4) + (9 * 4 * 8 + 8) + (8 * 3 + 3)
    flops = 64 * 9 * 4 + 64 * 9 * 4 * 4 + 16 * 9 * 4 * 8 + 16 * 8 + 8 * 3
    assert measure_cost(genes, 1, 3, 8, 8) == Cost(params=params, flops=flops)


def test_reference_has_its_published_size() -> None:
    cost = measure_cost(ReferenceArchitecture(), 3, 10, 32, 32)
    assert cost.params == 11_173_962
    assert cost.flops == pytest.approx(0.56e9, rel=0.01)


@settings(max_examples=30, deadline=None)
@given(genes=architectures())
@example(MobileNetArchitecture(stem_width=4, depths=(1, 1), widths=(4, 8), expansion=2, kernel_size=5))
def test_flops_agree_with_pytorchs_counter(genes: SearchedArchitecture) -> None:
    with torch.device("meta"):
        network = build_network(genes, 3, 5).eval()
        images = torch.empty(1, 3, 11, 16)
    other = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], _outputs: Tensor) -> None:
        nonlocal other
        other += inputs[0].numel() * (2 if isinstance(module, nn.BatchNorm2d) else 1)

    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.AdaptiveAvgPool2d):
            module.register_forward_hook(count)
    with FlopCounterMode(display=False) as counter:
        network(images)
    # PyTorch counts the multiplication and the addition, and convolutions and linear layers alone.
    assert measure_cost(genes, 3, 5, 11, 16).flops == counter.get_total_flops() // 2 + other


def test_measuring_touches_neither_the_random_state_nor_the_default_device() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    measure_cost(VggArchitecture(stem_width=4, depths=(1, 1), widths=(4, 8)), 1, 3, 8, 8)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_default_device() == torch.device("cpu")


def test_measuring_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    genes = VggArchitecture(stem_width=4, depths=(1, 1), widths=(4, 8), activation="silu", noise_std=0.1)
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings():
        warnings.simplefilter("error")
        measure_cost(genes, 1, 3, 9, 9)
    assert [record.message for record in caplog.records] == []
