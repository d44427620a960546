"""Stem: the first convolution of a network.

Dimensions: N images, C channels, H height, W width.
"""

from __future__ import annotations

from torch import nn

from nas.networks.layers.activation_and_normalization import ACTIVATION_GAINS
from nas.networks.layers.convolution import Convolution, conv_norm_act
from nas.networks.layers.fused_cpu_layers import Dropout
from nas.space.architecture import ConvolutionalArchitecture, DenseNetArchitecture


def create_stem(architecture: ConvolutionalArchitecture, channels: int) -> nn.Sequential:
    """Create the stem: a k×k convolution with normalisation, activation and dropout.

    It maps [N, channels, H, W] to [N, stem_width, H, W], and is never factorised. With one input channel the middle
    width min(in, out) would be 1, and all stem channels would share a single 1×k filter; a wider middle would soon
    cost more than the k×k kernel. A DenseNet's stem is the bare convolution, since its layers normalise and activate
    their own inputs; dropout then follows the convolution itself.
    """
    preactivated = isinstance(architecture, DenseNetArchitecture)
    convolution = Convolution(
        channels, architecture.stem_width, architecture.kernel_size, bias=architecture.normalization == "none"
    )
    convolution.initialize(1.0 if preactivated else ACTIVATION_GAINS[architecture.activation])
    stem = nn.Sequential(convolution if preactivated else conv_norm_act(architecture, convolution))
    if architecture.dropout_first > 0.0:
        stem.append(Dropout(architecture.dropout_first))
    return stem
