"""Exportable classifier: input normalisation followed by the network of a weights file.

Dimensions: N images, C channels, H and W pixels, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.data.normalization import Normalization
from nas.training.checkpoints.network_from_weights import network_from_weights
from nas.training.checkpoints.weights_file import Weights


class PixelClassifier(nn.Module):
    """Normalisation and network: uint8 pixels [N, C, H, W] to float32 logits [N, K].

    Pairs are accepted in two layouts: as two images, [N, 2, C, H, W], the layout of exported files; or as in a
    `Split`, with the second image's channels after the first's, [N, 2C, H, W].

    Args:
        memory_format: Memory format of the computation. Channels-last, as in training, is fast in PyTorch: a DenseNet
            of 13,000 weights takes a third of the time. Other runtimes have their own layout and would copy.
    """

    def __init__(
        self, normalization: Normalization, network: nn.Module, memory_format: torch.memory_format = torch.channels_last
    ) -> None:
        super().__init__()
        self.normalization = normalization
        self.network = network
        self.memory_format = memory_format

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Compute the logits of images with pixels in 0–255."""
        if images_NCHW.ndim == 5:
            images_NCHW = images_NCHW.flatten(1, 2)
        inputs_NCHW: Tensor = self.normalization(images_NCHW)
        if self.memory_format != torch.contiguous_format:
            inputs_NCHW = inputs_NCHW.contiguous(memory_format=self.memory_format)
        logits_NK: Tensor = self.network(inputs_NCHW)
        return logits_NK

    def contiguous(self) -> PixelClassifier:
        """Return the same network in contiguous memory format, for runtimes other than PyTorch."""
        return PixelClassifier(self.normalization, self.network, torch.contiguous_format).eval()


def rebuild(weights: Weights) -> PixelClassifier:
    """Build the network of a weights file, in evaluation mode on the CPU, without gradients.

    Raises:
        ModelFileError: The weights do not fit the network.
    """
    # Without training layers: torch.export files would include the unused modules.
    return PixelClassifier(*network_from_weights(weights)).eval().requires_grad_(False)
