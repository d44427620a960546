"""Strides, average downsampling, bottlenecks and pre-activation of the families."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from nas.networks.build_network import build_network
from nas.networks.families.block_shapes import BlockShape
from nas.networks.families.resnet import BasicBlock
from nas.networks.network_interface import ConvolutionalNetwork
from nas.networks.parameter_and_flop_count import measure_cost
from nas.results.network_cost import Cost
from nas.space.architecture import ResNetArchitecture, SearchedArchitecture
from nas.space.strides import feasible_strides
from tests.unit.networks.examples import BLOCK_GENES, FAMILIES, architecture


def _built(genes: SearchedArchitecture, channels: int = 1, size: tuple[int, int] | None = None) -> ConvolutionalNetwork:
    network = build_network(genes, channels, 3, size)
    assert isinstance(network, ConvolutionalNetwork)
    return network


def _without_repetition(sizes: Iterable[tuple[int, ...]]) -> list[tuple[int, ...]]:
    return [size for size, _ in groupby(sizes)]


@settings(max_examples=60, deadline=None)
@given(
    family=st.sampled_from(FAMILIES), strides=st.lists(st.sampled_from([1, 2]), min_size=2, max_size=5),
    height=st.integers(8, 40), width=st.integers(8, 40), average=st.booleans(),
)  # fmt: skip
def test_maps_have_the_sizes_that_the_architecture_states(
    family: str, strides: list[int], height: int, width: int, average: bool
) -> None:
    stem_stride, stage_strides = feasible_strides(strides[0], tuple(strides[1:]), (height, width))
    num_stages = len(stage_strides)
    genes: dict[str, Any] = {"stem_stride": stem_stride, "strides": stage_strides, "depths": (1,) * num_stages}
    if average and family in ("resnet", "mobilenet") and max(stage_strides) > 1:
        genes["downsampling"] = "average"
    described = architecture(family, widths=(8,) * num_stages, **genes)
    network = _built(described, size=(height, width)).eval()
    sizes: list[tuple[int, ...]] = []
    for module in (network.stem, *network.stages.children()):
        module.register_forward_hook(lambda _module, _inputs, outputs: sizes.append(tuple(outputs.shape[2:])))
    with torch.no_grad():
        network(torch.zeros(1, 1, height, width))
    assert _without_repetition(sizes) == _without_repetition(described.map_sizes((height, width)))


HEAD_PARAMS, HEAD_FLOPS = 8 * 3 + 3, 8 * 3
"""Of three classes on eight features; the pooling before it is one FLOP a pixel and channel."""


@pytest.mark.parametrize(
    ("family", "genes", "params", "flops"),
    [
        # Maps of 8×8, 4×4 and 4×4 pixels: stem, then two convolutions.
        (
            "vgg", {"strides": (2, 1)},
            (9 * 4 + 4) + (9 * 4 * 4 + 4) + (9 * 4 * 8 + 8),
            64 * 9 * 4 + 16 * 9 * 4 * 4 + 16 * 9 * 4 * 8 + 16 * 8,
        ),
        # The same with a strided stem.
        (
            "vgg", {"stem_stride": 2, "strides": (1, 1)},
            (9 * 4 + 4) + (9 * 4 * 4 + 4) + (9 * 4 * 8 + 8),
            16 * 9 * 4 + 16 * 9 * 4 * 4 + 16 * 9 * 4 * 8 + 16 * 8,
        ),
        # Squeeze-and-excitation of 4 and 8 channels, both to four.
        (
            "vgg", {"strides": (2, 1), "squeeze_ratio": 0.5},
            (9 * 4 + 4) + (9 * 4 * 4 + 4) + (9 * 4 * 8 + 8) + (4 * 4 + 4 + 4 * 4 + 4) + (8 * 4 + 4 + 4 * 8 + 8),
            64 * 9 * 4 + 16 * 9 * 4 * 4 + 16 * 9 * 4 * 8 + 16 * 8 + 2 * 4 * 4 + 2 * 8 * 4,
        ),
        # Two blocks with 8 and 16 channels between their convolutions; the second is strided, with a projection.
        (
            "resnet", {"bottleneck": 2.0},
            (9 * 4 + 4) + (9 * 4 * 8 + 8) + (9 * 8 * 4 + 4) + (9 * 4 * 16 + 16) + (9 * 16 * 8 + 8) + (4 * 8 + 8),
            64 * 9 * 4 + 64 * 9 * 4 * 8 * 2 + 16 * 9 * 4 * 16 + 16 * 9 * 16 * 8 + 16 * 4 * 8 + 16 * 8,
        ),
        # Average pooling of the four channels of 8×8 pixels in front of the second block.
        (
            "resnet", {"downsampling": "average"},
            (9 * 4 + 4) + 2 * (9 * 4 * 4 + 4) + (9 * 4 * 8 + 8) + (9 * 8 * 8 + 8) + (4 * 8 + 8),
            64 * 9 * 4 + 2 * 64 * 9 * 4 * 4 + 16 * 9 * 4 * 8 + 16 * 9 * 8 * 8 + 16 * 4 * 8 + 16 * 8,
        ),
        # Twice the channels inside; the second block's expansion is on 4×4 pixels already.
        (
            "mobilenet", {"downsampling": "average", "expansion": 2},
            (9 * 4 + 4) + (4 * 8 + 8) + (9 * 8 + 8) + (8 * 4 + 4) + (4 * 8 + 8) + (9 * 8 + 8) + (8 * 8 + 8),
            64 * (9 * 4 + 4 * 8 + 9 * 8 + 8 * 4) + 16 * (4 * 8 + 9 * 8 + 8 * 8) + 16 * 8,
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)  # fmt: skip
def test_costs_by_hand(family: str, genes: dict[str, Any], params: int, flops: int) -> None:
    described = architecture(
        family, **{"stem_width": 4, "depths": (1, 1), "widths": (4, 8), "normalization": "none", **genes}
    )
    cost = measure_cost(described, 1, 3, 8, 8)
    assert cost == Cost(params=params + HEAD_PARAMS, flops=flops + HEAD_FLOPS)


def test_preactivation_moves_the_norms_in_front() -> None:
    shared = {"stem_width": 4, "depths": (1, 1), "widths": (4, 8)}
    plain, preactivated = (measure_cost(architecture("resnet", **shared, preactivated=one), 1, 3, 8, 8).params
                           for one in (False, True))  # fmt: skip
    # Each has two norms a block and one of the projection; a further one of the eight channels at the end. The first
    # of a block normalises its input, the second the channels between, not the output: 4 and 8, not 4 and 8 more.
    assert preactivated - plain == 2 * ((4 + 4 + 4 + 8 + 8) - (4 + 4 + 8 + 8))


@pytest.mark.parametrize(("in_width", "out_width", "stride"), [(8, 8, 1), (8, 12, 2)])
def test_a_preactivated_block_is_that_of_identity_mappings(in_width: int, out_width: int, stride: int) -> None:
    genes = architecture("resnet", preactivated=True, bottleneck=0.5)
    assert isinstance(genes, ResNetArchitecture)
    block = BasicBlock(genes, BlockShape(in_width, out_width, stride)).double().eval()
    norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
    convolutions = [module for module in block.modules() if isinstance(module, nn.Conv2d)]
    for norm in norms:
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            assert isinstance(tensor, Tensor)
            nn.init.uniform_(tensor, 0.2, 0.9)
    images = torch.randn(2, in_width, 7, 6, dtype=torch.float64)

    def normalized(norm: nn.BatchNorm2d, inputs: Tensor) -> Tensor:
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None
        assert variance is not None
        shape = (1, -1, 1, 1)
        scaled = (inputs - mean.view(shape)) / (variance.view(shape) + norm.eps).sqrt()
        return scaled * norm.weight.view(shape) + norm.bias.view(shape)

    with torch.no_grad():
        first = functional.conv2d(normalized(norms[0], images).relu(), convolutions[0].weight, stride=stride, padding=1)
        residual = functional.conv2d(normalized(norms[1], first).relu(), convolutions[1].weight, padding=1)
        shortcut = images
        if stride > 1:
            shortcut = normalized(norms[2], functional.conv2d(images, convolutions[2].weight, stride=stride))
        torch.testing.assert_close(block(images), shortcut + residual)
    assert convolutions[0].out_channels == out_width // 2


@pytest.mark.parametrize("family", ["resnet", "mobilenet"])
def test_a_block_after_an_average_pooling_keeps_its_skip(family: str) -> None:
    """Of a zeroed block the pooled input remains."""
    genes = architecture(
        family, depths=(1, 1), widths=(8, 8), strides=(2, 1), normalization="none", downsampling="average"
    )
    images = torch.rand(2, 8, 9, 6)
    outputs = _built(genes).stages(images)
    torch.testing.assert_close(outputs, functional.avg_pool2d(images, 2, ceil_mode=True, count_include_pad=False))


@pytest.mark.parametrize("family", FAMILIES)
def test_compiled_layers_compute_what_pytorchs_do(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Channels-last tensors take the compiled layers, contiguous ones PyTorch's."""
    monkeypatch.setattr("nas.networks.layers.fused_cpu_layers._MIN_ELEMENTS", 0)
    torch.manual_seed(0)
    network = _built(architecture(family, activation="silu", **BLOCK_GENES[family]), channels=3)
    for module in network.modules():
        if isinstance(module, nn.Linear) and not module.weight.any():
            nn.init.normal_(module.weight, std=0.3)
    images = torch.randn(6, 3, 17, 15)
    results = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        one = _built(architecture(family, activation="silu", **BLOCK_GENES[family]), channels=3)
        one.load_state_dict(network.state_dict())
        one.to(memory_format=memory_format).train()
        inputs = images.contiguous(memory_format=memory_format)
        logits = one(inputs)
        gradients = torch.autograd.grad(logits.square().mean(), list(one.parameters()))
        one.eval()
        with torch.inference_mode():
            results.append((logits.detach(), gradients, one(inputs)))
    torch.testing.assert_close(*results, rtol=1e-3, atol=1e-5)
