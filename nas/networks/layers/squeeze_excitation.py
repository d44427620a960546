"""Squeeze-and-excitation: reweighting of channels by their means (Hu et al., 2018).

Dimensions: N images, C channels, S squeezed channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.networks.layers.activation_and_normalization import ACTIVATION_GAINS, activation_layer
from nas.networks.layers.classifier_head import create_linear
from nas.space.convolutional_architecture import ConvolutionalArchitecture

_MIN_WIDTH = 4


class SqueezeExcitation(nn.Module):
    """Multiply each channel by a sigmoid of two linear layers on all channels' means, [N, C, H, W] to [N, C, H, W].

    The second layer starts at zero weights and bias 2, so that the factors start at 0.88 for every image.

    Args:
        channels: C.
        squeezed: S.
        activation: Name of the activation between the layers.
    """

    def __init__(self, channels: int, squeezed: int, activation: str) -> None:
        super().__init__()
        self.squeeze = create_linear(channels, squeezed, ACTIVATION_GAINS[activation])  # type: ignore[index]
        self.activation = activation_layer(activation)  # type: ignore[arg-type]
        self.excite = nn.Linear(squeezed, channels)
        nn.init.zeros_(self.excite.weight)
        nn.init.constant_(self.excite.bias, 2.0)

    def forward(self, inputs_NCHW: Tensor) -> Tensor:
        """Reweight the channels."""
        squeezed_NS = self.activation(self.squeeze(inputs_NCHW.mean((2, 3))))
        factors_NC = torch.sigmoid(self.excite(squeezed_NS))
        return inputs_NCHW * factors_NC[:, :, None, None].to(inputs_NCHW.dtype)


def squeeze_excitation(architecture: ConvolutionalArchitecture, channels: int) -> list[nn.Module]:
    """Return the architecture's squeeze-and-excitation of a block, or nothing."""
    if architecture.squeeze_ratio == 0.0:
        return []
    squeezed = max(_MIN_WIDTH, round(channels * architecture.squeeze_ratio))
    return [SqueezeExcitation(channels, squeezed, architecture.activation)]
