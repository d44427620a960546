"""Plain CNN: blocks of convolution and max pooling, then flattened feature maps (LeCun et al., 1998)."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from nas.networks.layers.activation_and_normalization import ACTIVATION_GAINS, activation_layer, normalization_layer
from nas.networks.layers.classifier_head import create_head, create_linear
from nas.networks.layers.convolution import ConvNormAct, Convolution
from nas.networks.layers.fused_cpu_layers import Dropout
from nas.networks.layers.gaussian_noise import add_noise_layers
from nas.networks.network_interface import ConvolutionalNetwork
from nas.space.architecture import PlainArchitecture


def plain_network(
    architecture: PlainArchitecture, channels: int, num_classes: int, size: tuple[int, int]
) -> ConvolutionalNetwork:
    """Create the network for images of a given size (rows, columns).

    The stem is the first convolution, and the stages end with the last one. The last pooling, which rounds down like
    the others, is part of the head.

    Raises:
        ArchitectureError: The images are too small.
    """
    rows, columns = architecture.map_sizes(size)[-1]
    stem = nn.Sequential(_convolution(architecture, channels, architecture.widths[0]))
    if architecture.dropout_first > 0.0:
        stem.append(Dropout(architecture.dropout_first))
    stages = nn.Sequential()
    for in_width, out_width in pairwise(architecture.widths):
        stages.append(nn.MaxPool2d(2))
        stages.append(_convolution(architecture, in_width, out_width))
    head, width = create_head(architecture, architecture.widths[-1] * rows * columns, nn.MaxPool2d(2))
    network = ConvolutionalNetwork(stem, stages, head, create_linear(width, num_classes, gain=1.0))
    add_noise_layers(network, architecture.noise_std)
    return network


def _convolution(architecture: PlainArchitecture, in_width: int, out_width: int) -> ConvNormAct:
    convolution = Convolution(
        in_width, out_width, architecture.kernel_size,
        bias=architecture.normalization == "none", padded=architecture.padded,
    )  # fmt: skip
    convolution.initialize(ACTIVATION_GAINS[architecture.activation])
    return ConvNormAct(
        convolution,
        normalization_layer(architecture.normalization, out_width),
        activation_layer(architecture.activation),
    )
