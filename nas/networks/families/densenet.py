"""Dense blocks with bottlenecks and compressing transitions: DenseNet-BC (Huang et al., 2017).

Dimensions: N images, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.networks.layers.activation_and_normalization import activation_layer, normalization_layer
from nas.networks.layers.average_pooling import average_pooling
from nas.networks.layers.convolution import create_convolution, norm_act_conv
from nas.networks.layers.squeeze_excitation import squeeze_excitation
from nas.space.architecture import DenseNetArchitecture

BOTTLENECK = 4
"""Width of a layer's 1×1 convolution, as a multiple of the growth rate (Huang et al., 2017, section 3)."""


class DenseLayer(nn.Module):
    """Dense layer: append `growth_rate` channels computed from all channels before them.

    Pre-activation: norm, activation, 1×1 to four times the growth rate; norm, activation, k×k to the growth rate.
    """

    def __init__(self, architecture: DenseNetArchitecture, in_width: int) -> None:
        super().__init__()
        bottleneck_width = BOTTLENECK * architecture.growth_rate
        bottleneck = create_convolution(architecture, in_width, bottleneck_width, kernel_size=1)
        growth = create_convolution(
            architecture, bottleneck_width, architecture.growth_rate, kernel_size=architecture.kernel_size
        )
        self.layers = nn.Sequential(
            norm_act_conv(architecture, bottleneck), norm_act_conv(architecture, growth),
            *squeeze_excitation(architecture, architecture.growth_rate),
        )  # fmt: skip

    def forward(self, inputs_NCHW: Tensor) -> Tensor:
        """Map [N, in, H, W] to [N, in + growth_rate, H, W]."""
        return torch.cat((inputs_NCHW, self.layers(inputs_NCHW)), dim=1)


def transition(architecture: DenseNetArchitecture, in_width: int, out_width: int, stride: int) -> nn.Sequential:
    """Create a transition: norm, activation, 1×1 convolution and average pooling by the stride.

    It maps [N, in, H, W] to [N, out, ⌈H / stride⌉, ⌈W / stride⌉].
    """
    convolution = create_convolution(architecture, in_width, out_width, kernel_size=1)
    layers = nn.Sequential(norm_act_conv(architecture, convolution))
    if stride > 1:
        layers.append(average_pooling(stride))
    return layers


def densenet_stages(architecture: DenseNetArchitecture) -> tuple[nn.Sequential, int]:
    """Create the stages after the stem, with a final norm and activation, and return them with their output width."""
    stages = nn.Sequential()
    width = architecture.stem_width
    for stage, (depth, stride) in enumerate(zip(architecture.depths, architecture.stage_strides, strict=True)):
        if stage == 0 and stride > 1:
            stages.append(average_pooling(stride))
        elif stage > 0:
            compressed_width = max(1, int(width * architecture.compression))
            stages.append(transition(architecture, width, compressed_width, stride))
            width = compressed_width
        for _ in range(depth):
            stages.append(DenseLayer(architecture, width))
            width += architecture.growth_rate
    stages.append(normalization_layer(architecture.normalization, width))
    stages.append(activation_layer(architecture.activation))
    return stages, width
