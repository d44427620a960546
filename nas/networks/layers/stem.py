"""Stem: the first convolution of a network.

Dimensions: N images, C channels, H height, W width.
"""

from __future__ import annotations

from torch import nn

from nas.networks.layers.activation_and_normalization import ACTIVATION_GAINS, activation_layer
from nas.networks.layers.convolution import Convolution, conv_norm_act
from nas.networks.layers.fused_cpu_layers import Dropout
from nas.networks.layers.whitening_convolution import WhiteningConvolution
from nas.space.architecture import DenseNetArchitecture
from nas.space.convolutional_architecture import ConvolutionalArchitecture


def create_stem(architecture: ConvolutionalArchitecture, channels: int) -> nn.Sequential:
    """Create the stem: a k×k convolution with normalisation, activation and dropout.

    It maps [N, channels, H, W] to [N, stem_width, ⌈H / stride⌉, ⌈W / stride⌉], and is never factorised. With one input
    channel the middle width min(in, out) would be 1, and all stem channels would share a single 1×k filter; a wider
    middle would soon cost more than the k×k kernel. A DenseNet's stem is the bare convolution, since its layers
    normalise and activate their own inputs; dropout then follows the convolution itself.

    A whitened stem has a whitening k×k convolution and an activation first, and then a 1×1 convolution.
    """
    preactivated = isinstance(architecture, DenseNetArchitecture)
    kernel_size, stride, stem = architecture.kernel_size, architecture.stem_stride, nn.Sequential()
    if architecture.whitened_stem:
        whitening = WhiteningConvolution(channels, kernel_size, stride)
        stem.extend([whitening, activation_layer(architecture.activation)])
        channels, kernel_size, stride = whitening.out_channels, 1, 1
    convolution = Convolution(
        channels, architecture.stem_width, kernel_size, stride, bias=architecture.normalization == "none"
    )
    convolution.initialize(1.0 if preactivated else ACTIVATION_GAINS[architecture.activation])
    stem.append(convolution if preactivated else conv_norm_act(architecture, convolution))
    if architecture.dropout_first > 0.0:
        stem.append(Dropout(architecture.dropout_first))
    return stem
