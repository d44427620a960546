"""Classifier heads: pooling, hidden layers and dropout between the last feature maps and the classifier."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from torch import nn

from nas.networks.layers.activation_and_normalization import ACTIVATION_GAINS, activation_layer
from nas.space.architecture import PlainArchitecture
from nas.space.convolutional_architecture import Activation, ConvolutionalArchitecture


def create_linear(in_width: int, out_width: int, gain: float) -> nn.Linear:
    """Create a linear layer with normal weights of standard deviation gain / √in_width and a zero bias."""
    linear = nn.Linear(in_width, out_width)
    nn.init.normal_(linear.weight, std=gain / math.sqrt(in_width))
    nn.init.zeros_(linear.bias)
    return linear


def hidden_layers(
    in_width: int, widths: Sequence[int], activation: Activation, dropout: float = 0.0
) -> Iterator[nn.Module]:
    """Yield linear layers, each with activation and optional dropout: [N, in_width] to [N, widths[-1]]."""
    for width in widths:
        yield create_linear(in_width, width, ACTIVATION_GAINS[activation])
        yield activation_layer(activation)
        if dropout > 0.0:
            yield nn.Dropout(dropout)
        in_width = width


def create_head(
    architecture: ConvolutionalArchitecture | PlainArchitecture, in_width: int, pooling: nn.Module
) -> tuple[nn.Sequential, int]:
    """Create the head: pooling, hidden layers and dropout, [N, C, H, W] to [N, D].

    Args:
        in_width: Number of values of an image after the pooling.
        pooling: Pooling of the last feature maps.

    Returns:
        The head and D.
    """
    widths = architecture.head_widths
    head = nn.Sequential(pooling, nn.Flatten(), *hidden_layers(in_width, widths, architecture.activation))
    if architecture.dropout_head > 0.0:
        head.append(nn.Dropout(architecture.dropout_head))
    return head, widths[-1] if widths else in_width
