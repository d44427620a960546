"""Activation and normalisation layers by gene, and the initialisation gain of each activation."""

from __future__ import annotations

from torch import nn
from typing_extensions import assert_never

from nas.networks.layers.fused_cpu_layers import GELU, BatchNorm, LeakyReLU, SiLU
from nas.space.convolutional_architecture import Activation, Normalization

ACTIVATION_GAINS: dict[Activation, float] = {
    "relu": 1.41421,
    "leaky_relu": 1.41414,
    "silu": 1.67653,
    "gelu": 1.53353,
}
"""Weight gain next to each activation f that keeps the signal's second moment: E[f(z)²]^(-1/2), z ~ N(0, 1).

For ReLU and leaky ReLU (slope 0.01) this is Kaiming's √(2 / (1 + slope²)). PyTorch has no gain for SiLU and GELU,
and ReLU's is too small for them: each SiLU would lose 29 % of the second moment.

Source: He et al., 2015, equation 10; the integrals of SiLU and GELU were computed numerically.
"""


def activation_layer(activation: Activation) -> nn.Module:
    """Create the elementwise activation; not in place, since residual and dense blocks use their input twice."""
    match activation:
        case "relu":
            return nn.ReLU()
        case "leaky_relu":
            return LeakyReLU()
        case "silu":
            return SiLU()
        case "gelu":
            return GELU()
        case _:
            assert_never(activation)


def normalization_layer(normalization: Normalization, width: int) -> nn.Module:
    """Create batch normalisation of `width` channels, or the identity."""
    match normalization:
        case "batch":
            return BatchNorm(width)
        case "none":
            return nn.Identity()
        case _:
            assert_never(normalization)
