"""Dense blocks with bottlenecks and compressing transitions: DenseNet-BC (Huang et al., 2017).

Dimensions: N images, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.networks.layers.activation_and_normalization import activation_layer, normalization_layer
from nas.networks.layers.convolution import create_convolution, norm_act_conv
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
        self.layers = nn.Sequential(norm_act_conv(architecture, bottleneck), norm_act_conv(architecture, growth))

    def forward(self, inputs_NCHW: Tensor) -> Tensor:
        """Map [N, in, H, W] to [N, in + growth_rate, H, W]."""
        return torch.cat((inputs_NCHW, self.layers(inputs_NCHW)), dim=1)


def transition(architecture: DenseNetArchitecture, in_width: int, out_width: int) -> nn.Sequential:
    """Create a transition: norm, activation, 1×1 convolution and 2×2 average pooling.

    It maps [N, in, H, W] to [N, out, ⌈H / 2⌉, ⌈W / 2⌉]. A window that exceeds the edge averages the pixels inside.
    """
    convolution = create_convolution(architecture, in_width, out_width, kernel_size=1)
    pooling = nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)
    return nn.Sequential(norm_act_conv(architecture, convolution), pooling)


def densenet_stages(architecture: DenseNetArchitecture) -> tuple[nn.Sequential, int]:
    """Create the stages after the stem, with a final norm and activation, and return them with their output width."""
    stages = nn.Sequential()
    width = architecture.stem_width
    for stage, depth in enumerate(architecture.depths):
        if stage > 0:
            compressed_width = max(1, int(width * architecture.compression))
            stages.append(transition(architecture, width, compressed_width))
            width = compressed_width
        for _ in range(depth):
            stages.append(DenseLayer(architecture, width))
            width += architecture.growth_rate
    stages.append(normalization_layer(architecture.normalization, width))
    stages.append(activation_layer(architecture.activation))
    return stages, width
