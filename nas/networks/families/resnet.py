"""Basic residual blocks (He et al., 2016).

Dimensions: N images, C channels, H height, W width.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from nas.networks.families.block_shapes import BlockShape, create_blocks
from nas.networks.layers.activation_and_normalization import activation_layer, normalization_layer
from nas.networks.layers.convolution import conv_norm_act, create_convolution, norm_act_conv
from nas.networks.layers.squeeze_excitation import squeeze_excitation
from nas.space.architecture import ResNetArchitecture

_MIN_MIDDLE = 4


class BasicBlock(nn.Module):
    """Residual block: two k×k convolutions added to their input, or to its 1×1 projection if the shape changes.

    With batch normalisation this is the original block with its activation after the sum ("Deep Residual Learning",
    2016): stem 64, depths 2-2-2-2 and widths 64-128-256-512 are ResNet-18 with a small stem. Without
    normalisation the activations move in front of the two convolutions ("Identity Mappings", 2016) and the second
    one starts at zero (Fixup, Zhang et al., 2019; its extra scales and biases are left out), so that a deep
    network starts as the identity. Behind the sum, SiLU and GELU, which about halve small numbers, would make the
    signal vanish block by block. `preactivated` moves them there with normalisation, too; `bottleneck` makes the
    channels between the two convolutions fewer or more than the block's.
    """

    def __init__(self, architecture: ResNetArchitecture, shape: BlockShape) -> None:
        super().__init__()
        k, width, normalized = architecture.kernel_size, shape.out_width, architecture.normalization != "none"
        middle = max(_MIN_MIDDLE, round(width * architecture.bottleneck))
        first = create_convolution(architecture, shape.in_width, middle, kernel_size=k, stride=shape.stride)
        second = create_convolution(architecture, middle, width, kernel_size=k, gain=1.0 if normalized else 0.0)
        preactivated = architecture.preactivated or not normalized
        if preactivated:
            self.residual = nn.Sequential(norm_act_conv(architecture, first), norm_act_conv(architecture, second))
        else:
            self.residual = nn.Sequential(
                conv_norm_act(architecture, first), conv_norm_act(architecture, second, activated=False)
            )
        self.residual.extend(squeeze_excitation(architecture, width))
        self.shortcut = self._shortcut(architecture, shape)
        self.activation = nn.Identity() if preactivated else activation_layer(architecture.activation)

    @staticmethod
    def _shortcut(architecture: ResNetArchitecture, shape: BlockShape) -> nn.Module:
        if shape.stride == 1 and shape.in_width == shape.out_width:
            return nn.Identity()
        projection = create_convolution(
            architecture, shape.in_width, shape.out_width, kernel_size=1, stride=shape.stride, gain=1.0
        )
        return conv_norm_act(architecture, projection, activated=False)

    def forward(self, inputs_NCHW: Tensor) -> Tensor:
        """Map [N, in, H, W] to [N, out, ⌈H / stride⌉, ⌈W / stride⌉]."""
        residual_NCHW = self.residual(inputs_NCHW)
        outputs_NCHW: Tensor = self.activation(self.shortcut(inputs_NCHW) + residual_NCHW)
        return outputs_NCHW


def resnet_stages(architecture: ResNetArchitecture) -> tuple[nn.Sequential, int]:
    """Create the stages after the stem, and return them with their output width."""
    stages = create_blocks(architecture, partial(BasicBlock, architecture))
    if architecture.normalization == "none":
        stages.append(activation_layer(architecture.activation))
    elif architecture.preactivated:
        stages.append(normalization_layer(architecture.normalization, architecture.widths[-1]))
        stages.append(activation_layer(architecture.activation))
    return stages, architecture.widths[-1]
