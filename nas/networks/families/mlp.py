"""Multilayer perceptron on the flattened image.

Dimensions: N images, C channels, H height, W width, D features, M units.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from nas.networks.layers.classifier_head import create_linear, hidden_layers
from nas.networks.network_interface import Network
from nas.space.architecture import MlpArchitecture


class MlpNetwork(Network):
    """Flattening of the image, hidden layers and classifier.

    Args:
        size: Rows and columns of the images.
    """

    def __init__(self, architecture: MlpArchitecture, channels: int, num_classes: int, size: tuple[int, int]) -> None:
        super().__init__()
        self._image_shape = (channels, *size)
        in_width, widths = math.prod(self._image_shape), architecture.widths
        self.hidden = nn.Sequential(
            nn.Flatten(), *hidden_layers(in_width, widths, architecture.activation, architecture.dropout)
        )
        self.classifier = create_linear(widths[-1], num_classes, gain=1.0)

    def features(self, images_NCHW: Tensor) -> Tensor:
        """Compute the classifier's input [N, D] from normalised float images [N, C, H, W], with dropout."""
        features_ND: Tensor = self.hidden(images_NCHW)
        return features_ND

    def first_layer_weights(self) -> Tensor:
        """Return the weights of the first layer's units in the shape of the image, [M, C, H, W]."""
        first = next(module for module in self.hidden if isinstance(module, nn.Linear))
        return first.weight.detach().reshape(-1, *self._image_shape)
