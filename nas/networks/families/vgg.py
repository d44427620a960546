"""VGG: plain stacks of convolutions (Simonyan & Zisserman, 2015)."""

from __future__ import annotations

from torch import nn

from nas.networks.families.block_shapes import block_shapes
from nas.networks.layers.convolution import conv_norm_act, create_convolution
from nas.networks.layers.squeeze_excitation import squeeze_excitation
from nas.space.architecture import VggArchitecture


def vgg_stages(architecture: VggArchitecture) -> tuple[nn.Sequential, int]:
    """Create the stages after the stem, and return them with their output width.

    A stage with a stride starts with a max pooling that rounds up, so that no side becomes 0.
    """
    stages = nn.Sequential()
    for shape in block_shapes(architecture):
        if shape.stride > 1:
            stages.append(nn.MaxPool2d(shape.stride, ceil_mode=True))
        convolution = create_convolution(
            architecture, shape.in_width, shape.out_width, kernel_size=architecture.kernel_size
        )
        if architecture.identity_init:
            convolution.initialize_identity()
        stages.append(conv_norm_act(architecture, convolution))
        stages.extend(squeeze_excitation(architecture, shape.out_width))
    return stages, architecture.widths[-1]
