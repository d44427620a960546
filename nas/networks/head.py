"""From the last feature maps to the classifier's input."""

from __future__ import annotations

import math

from torch import nn

from nas.genome import ConvolutionalArchitecture
from nas.networks.activation import ACTIVATION_GAINS, activation_layer


def create_linear(in_width: int, out_width: int, gain: float) -> nn.Linear:
    """A linear layer with normal weights of standard deviation gain / √in_width and a zero bias."""
    linear = nn.Linear(in_width, out_width)
    nn.init.normal_(linear.weight, std=gain / math.sqrt(in_width))
    nn.init.zeros_(linear.bias)
    return linear


def create_head(architecture: ConvolutionalArchitecture, in_width: int) -> tuple[nn.Sequential, int]:
    """Global average pooling, hidden layers and dropout, [N, in_width, H, W] to [N, D]; and D."""
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for width in architecture.head_widths:
        head.append(create_linear(in_width, width, ACTIVATION_GAINS[architecture.activation]))
        head.append(activation_layer(architecture.activation))
        in_width = width
    if architecture.dropout_head > 0.0:
        head.append(nn.Dropout(architecture.dropout_head))
    return head, in_width
