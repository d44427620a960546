"""VGG: plain stacks of convolutions (Simonyan & Zisserman, 2015)."""

from __future__ import annotations

from torch import nn

from nas.networks.families.block_shapes import block_shapes
from nas.networks.layers.convolution import conv_norm_act, create_convolution
from nas.space.architecture import VggArchitecture


def vgg_stages(architecture: VggArchitecture) -> tuple[nn.Sequential, int]:
    """Create the stages after the stem, and return them with their output width.

    Each stage but the first starts with a 2×2 max pooling that rounds up, so that no side becomes 0.
    """
    stages = nn.Sequential()
    for shape in block_shapes(architecture):
        if shape.stride > 1:
            stages.append(nn.MaxPool2d(shape.stride, ceil_mode=True))
        convolution = create_convolution(
            architecture, shape.in_width, shape.out_width, kernel_size=architecture.kernel_size
        )
        stages.append(conv_norm_act(architecture, convolution))
    return stages, architecture.widths[-1]
