"""Speed of normalisation, activation, dropout, noise and depthwise layers compared with PyTorch's, in bfloat16.

    python benchmarks/layers.py

Forward and backward pass of 128 images, channels-last, on one thread. The two layers of a pair alternate; medians.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from nas.networks.layers.convolution import ConvNormAct
from nas.networks.layers.depthwise_convolution import DepthwiseConvolution
from nas.networks.layers.fused_cpu_layers import GELU, BatchNorm, Dropout, LeakyReLU, SiLU
from nas.networks.layers.gaussian_noise import GaussianNoise
from nas.worker.trainer.glibc_malloc import retain_freed_memory

IMAGES, ROUNDS = 128, 9


class PlainNoise(nn.Module):
    """Gaussian noise from `torch.randn_like`."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + 0.05 * torch.randn_like(inputs)


def pairs(channels: int) -> dict[str, tuple[nn.Module, nn.Module]]:
    """Pairs of layers by name: of nas, and of PyTorch."""

    def depthwise(kind: type[nn.Conv2d], side: int, stride: int) -> nn.Module:
        return kind(channels, channels, side, stride, side // 2, groups=channels, bias=False)

    rows: dict[str, tuple[nn.Module, nn.Module]] = {}
    for name, nas_layer, torch_layer in (
        ("batch norm", None, None), ("batch norm, ReLU", nn.ReLU(), nn.ReLU()),
        ("batch norm, leaky ReLU", LeakyReLU(), nn.LeakyReLU()), ("batch norm, SiLU", SiLU(), nn.SiLU()),
        ("batch norm, GELU", GELU(), nn.GELU()),
    ):  # fmt: skip
        layers = ((BatchNorm(channels), nas_layer), (nn.BatchNorm2d(channels), torch_layer))
        rows[name] = tuple(ConvNormAct(nn.Identity(), *layer) for layer in layers)
    rows |= {
        "SiLU": (SiLU(), nn.SiLU()),
        "GELU": (GELU(), nn.GELU()),
        "dropout": (Dropout(0.1), nn.Dropout(0.1)),
        "noise": (GaussianNoise(0.05), PlainNoise()),
    }
    for side, stride in ((3, 1), (3, 2), (5, 1), (5, 2)):
        rows[f"depthwise {side}×{side}, stride {stride}"] = (
            depthwise(DepthwiseConvolution, side, stride), depthwise(nn.Conv2d, side, stride),
        )  # fmt: skip
    return rows


def seconds(layer: nn.Module, inputs: Tensor) -> float:
    """Seconds of one forward and backward pass."""
    inputs.grad = None
    started = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = layer(inputs)
    outputs.backward(torch.ones_like(outputs))
    return time.perf_counter() - started


def measure(run: Callable[[], float], other: Callable[[], float]) -> tuple[float, float]:
    """Median milliseconds of two functions, measured alternately."""
    run(), other()
    times = [(run(), other()) for _ in range(ROUNDS)]
    first, second = (statistics.median(column) * 1000 for column in zip(*times, strict=True))
    return first, second


def main() -> None:
    """Measure all layers and print a table."""
    torch.set_num_threads(1)
    retain_freed_memory()
    table = Table("layer", "shape", "nas, ms", "PyTorch, ms", "times faster")
    for channels, side in ((48, 28), (96, 14)):
        inputs = torch.randn(IMAGES, channels, side, side).bfloat16().contiguous(memory_format=torch.channels_last)
        inputs.requires_grad_()
        assert inputs.is_contiguous(memory_format=torch.channels_last)
        for name, (nas_layer, torch_layer) in pairs(channels).items():
            fast, slow = measure(lambda: seconds(nas_layer, inputs), lambda: seconds(torch_layer, inputs))  # noqa: B023
            table.add_row(name, f"{channels}×{side}×{side}", f"{fast:.1f}", f"{slow:.1f}", f"{slow / fast:.1f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
