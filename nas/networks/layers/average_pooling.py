"""Average pooling between stages."""

from __future__ import annotations

from torch import nn


def average_pooling(stride: int) -> nn.AvgPool2d:
    """Create an average pooling, [N, C, H, W] to [N, C, ⌈H / stride⌉, ⌈W / stride⌉].

    A window that exceeds the edge averages the pixels inside.
    """
    return nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)
