"""Convolution layer of all families, plain or factorised, with its normalisation and activation.

Dimensions: N images, C channels, H height, W width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nas.networks.layers.activation_and_normalization import ACTIVATION_GAINS, activation_layer, normalization_layer
from nas.networks.layers.depthwise_convolution import DepthwiseConvolution
from nas.networks.layers.fused_cpu_layers import BatchNorm
from nas.space.convolutional_architecture import ConvolutionalArchitecture


class Convolution(nn.Sequential):
    """A k×k convolution, [N, in, H, W] to [N, out, ⌈H / stride⌉, ⌈W / stride⌉], plain or factorised.

    Factorised, it is a 1×k and then a k×1 convolution with nothing between, of middle width m = min(in, out), and
    each has the stride along its own axis. That is always smaller for k ≥ 3 (only the last part has a bias):

        k·m·(in + out) = k·(m² + in·out) ≤ 2k·in·out < k²·in·out,  since m² ≤ in·out.

    Depthwise, it has 2k weights a channel instead of k². A 1×1 convolution is never factorised.

    Args:
        in_width: Channels of the input.
        out_width: Channels of the output.
        kernel_size: Side k of the kernel in pixels, odd.
        stride: Step in pixels along both axes.
        depthwise: True to convolve each channel separately; needs `out_width` equal to `in_width`.
        factorized: True for two parts.
        bias: True for a bias of each output channel.
        padded: True for zero padding that keeps the sides; else each side is k - 1 shorter, before the stride.

    Source: Szegedy et al., "Rethinking the Inception Architecture", 2016, section 3.2.
    """

    def __init__(
        self,
        in_width: int,
        out_width: int,
        kernel_size: int,
        stride: int = 1,
        *,
        depthwise: bool = False,
        factorized: bool = False,
        bias: bool = True,
        padded: bool = True,
    ) -> None:
        super().__init__()
        groups = in_width if depthwise else 1

        def part(width: int, to_width: int, kernel: tuple[int, int], step: tuple[int, int], *, bias: bool) -> nn.Conv2d:
            padding = (kernel[0] // 2, kernel[1] // 2) if padded else (0, 0)
            layer = DepthwiseConvolution if depthwise else nn.Conv2d
            return layer(width, to_width, kernel, step, padding, groups=groups, bias=bias)

        k = kernel_size
        if factorized and kernel_size > 1:
            middle_width = min(in_width, out_width)
            # A bias between two linear parts is redundant with the last one's bias (except at the borders).
            self.row = part(in_width, middle_width, (1, k), (1, stride), bias=False)
            self.column = part(middle_width, out_width, (k, 1), (stride, 1), bias=bias)
        else:
            self.kernel = part(in_width, out_width, (k, k), (stride, stride), bias=bias)

    @property
    def parts(self) -> tuple[nn.Conv2d, ...]:
        """The one or two convolutions, in forward order."""
        return tuple(module for module in self if isinstance(module, nn.Conv2d))

    def forward_scaled(self, inputs_NCHW: Tensor, scale_C: Tensor, shift_C: Tensor) -> Tensor:
        """Convolve, scale and shift the output channels, without noise, for evaluation."""
        *before, last = self.parts
        for part in before:
            inputs_NCHW = part(inputs_NCHW)
        weight = last.weight * scale_C[:, None, None, None]
        bias_C = shift_C if last.bias is None else shift_C + last.bias * scale_C
        outputs_NCHW: Tensor = last._conv_forward(inputs_NCHW, weight, bias_C)
        return outputs_NCHW

    def initialize(self, gain: float) -> None:
        """Draw the weights from a normal distribution of standard deviation gain / √fan_in; zero the bias.

        Inner parts have gain 1, since no activation follows them. Gain 0 zeroes the last part only: it then still
        has a gradient, which would vanish if the part before it were zero too.

        Source: He et al., 2015, equation 10.
        """
        for part in self.parts:
            part_gain = gain if part is self.parts[-1] else 1.0
            nn.init.normal_(part.weight, std=part_gain / math.sqrt(part.weight[0].numel()))
            if part.bias is not None:
                nn.init.zeros_(part.bias)

    @torch.no_grad()
    def initialize_identity(self) -> None:
        """Let the first filters pass on the input's channels unchanged, as far as there are filters for them.

        A stack of convolutions then starts with an implicit skip connection in its first channels; the other filters
        keep their random weights.

        Source: Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024 (partial identity initialisation).
        """
        for part in self.parts:
            nn.init.dirac_(part.weight[: part.in_channels])


def create_convolution(
    architecture: ConvolutionalArchitecture,
    in_width: int,
    out_width: int,
    *,
    kernel_size: int,
    stride: int = 1,
    depthwise: bool = False,
    gain: float | None = None,
) -> Convolution:
    """Create a convolution, factorised if the architecture is, with a bias only without normalisation.

    Args:
        gain: Gain of the initial weights; by default that of an activation just before or after the convolution.
    """
    convolution = Convolution(
        in_width,
        out_width,
        kernel_size,
        stride,
        depthwise=depthwise,
        factorized=architecture.factorized,
        bias=architecture.normalization == "none",
    )
    convolution.initialize(ACTIVATION_GAINS[architecture.activation] if gain is None else gain)
    return convolution


class ConvNormAct(nn.Module):
    """Convolution, normalisation and optional activation."""

    def __init__(self, convolution: Convolution, normalization: nn.Module, activation: nn.Module | None) -> None:
        super().__init__()
        self.convolution = convolution
        self.normalization = normalization
        self.activation = activation

    def forward(self, inputs_NCHW: Tensor) -> Tensor:
        """Map [N, in, H, W] to [N, out, ⌈H / stride⌉, ⌈W / stride⌉]."""
        if isinstance(self.normalization, BatchNorm) and not self.training and torch.is_inference_mode_enabled():
            outputs_NCHW = self.convolution.forward_scaled(inputs_NCHW, *self.normalization.scale_and_shift())
            return outputs_NCHW if self.activation is None else self.activation(outputs_NCHW)
        return _normalize_and_activate(self.convolution(inputs_NCHW), self.normalization, self.activation)


class NormActConv(nn.Module):
    """Pre-activation layer: normalisation and activation of the input, then the convolution."""

    def __init__(self, normalization: nn.Module, activation: nn.Module, convolution: Convolution) -> None:
        super().__init__()
        self.normalization = normalization
        self.activation = activation
        self.convolution = convolution

    def forward(self, inputs_NCHW: Tensor) -> Tensor:
        """Map [N, in, H, W] to [N, out, ⌈H / stride⌉, ⌈W / stride⌉]."""
        outputs_NCHW: Tensor = self.convolution(
            _normalize_and_activate(inputs_NCHW, self.normalization, self.activation)
        )
        return outputs_NCHW


def conv_norm_act(
    architecture: ConvolutionalArchitecture, convolution: Convolution, *, activated: bool = True
) -> ConvNormAct:
    """Append the architecture's normalisation and, if `activated`, its activation to a convolution."""
    return ConvNormAct(
        convolution,
        normalization_layer(architecture.normalization, convolution.parts[-1].out_channels),
        activation_layer(architecture.activation) if activated else None,
    )


def norm_act_conv(architecture: ConvolutionalArchitecture, convolution: Convolution) -> NormActConv:
    """Prepend the architecture's normalisation and activation to a convolution (pre-activation)."""
    return NormActConv(
        normalization_layer(architecture.normalization, convolution.parts[0].in_channels),
        activation_layer(architecture.activation),
        convolution,
    )


def _normalize_and_activate(inputs_NCHW: Tensor, normalization: nn.Module, activation: nn.Module | None) -> Tensor:
    """Normalise and activate, in one call if the normalisation is `BatchNorm`."""
    if isinstance(normalization, BatchNorm):
        normalized_NCHW: Tensor = normalization(inputs_NCHW, activation)
        return normalized_NCHW
    outputs_NCHW: Tensor = normalization(inputs_NCHW)
    if activation is not None:
        outputs_NCHW = activation(outputs_NCHW)
    return outputs_NCHW
