"""Inverted residuals around depthwise convolutions (Sandler et al., 2018).

Dimensions: N images, C channels, H height, W width.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from nas.networks.families.block_shapes import BlockShape, create_blocks
from nas.networks.layers.convolution import conv_norm_act, create_convolution
from nas.networks.layers.squeeze_excitation import squeeze_excitation
from nas.space.architecture import MobileNetArchitecture


class InvertedResidual(nn.Module):
    """Block of 1×1 expansion, k×k depthwise convolution and linear 1×1 projection, with a skip where shapes allow.

    Expansion 1 has no expansion convolution. Without normalisation, the projection of a block with a skip starts
    at zero, so that the block starts as the identity (Fixup, Zhang et al., 2019).
    """

    def __init__(self, architecture: MobileNetArchitecture, shape: BlockShape) -> None:
        super().__init__()
        self.has_skip = shape.stride == 1 and shape.in_width == shape.out_width
        width = shape.in_width * architecture.expansion
        depthwise = create_convolution(
            architecture, width, width, kernel_size=architecture.kernel_size, stride=shape.stride, depthwise=True
        )
        zeroed = self.has_skip and architecture.normalization == "none"
        project = create_convolution(architecture, width, shape.out_width, kernel_size=1, gain=0.0 if zeroed else 1.0)
        self.layers = nn.Sequential()
        if architecture.expansion > 1:
            expand = create_convolution(architecture, shape.in_width, width, kernel_size=1)
            self.layers.append(conv_norm_act(architecture, expand))
        self.layers.append(conv_norm_act(architecture, depthwise))
        self.layers.extend(squeeze_excitation(architecture, width))
        self.layers.append(conv_norm_act(architecture, project, activated=False))

    def forward(self, inputs_NCHW: Tensor) -> Tensor:
        """Map [N, in, H, W] to [N, out, ⌈H / stride⌉, ⌈W / stride⌉]."""
        outputs_NCHW: Tensor = self.layers(inputs_NCHW)
        return inputs_NCHW + outputs_NCHW if self.has_skip else outputs_NCHW


def mobilenet_stages(architecture: MobileNetArchitecture) -> tuple[nn.Sequential, int]:
    """Create the stages after the stem, and return them with their output width.

    The last projection feeds the pooling directly: MobileNetV2's final 1×1 convolution to 1,280 channels is omitted,
    since it is larger than many whole networks of the search; a hidden layer of the head is its equivalent.
    """
    return create_blocks(architecture, partial(InvertedResidual, architecture)), architecture.widths[-1]
