"""Teacher of a training with distillation: a trained network with the normalisation of its own images.

Dimensions: N images, C channels, H and W pixels, K classes.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from nas.data.normalization import Normalization
from nas.training.checkpoints.network_from_weights import network_from_weights
from nas.training.checkpoints.weights_file import load_weights


class TeacherNetwork(nn.Module):
    """Network in evaluation mode without gradients: pixels 0–255 [N, C, H, W] to logits [N, K].

    Args:
        normalization: Normalisation that the network was trained with.
    """

    def __init__(self, normalization: Normalization, network: nn.Module) -> None:
        super().__init__()
        self._normalization = normalization
        self._network = network.to(memory_format=torch.channels_last)
        self.eval().requires_grad_(False)

    @classmethod
    def load(cls, path: Path, device: torch.device) -> TeacherNetwork:
        """Load a weights file; the random state of the process changes.

        Raises:
            ModelFileError: It is not a weights file, or is damaged.
        """
        return cls(*network_from_weights(load_weights(path))).to(device)

    @torch.no_grad()
    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Compute the logits of uint8 or float images."""
        inputs_NCHW = self._normalization(images_NCHW).contiguous(memory_format=torch.channels_last)
        logits_NK: Tensor = self._network(inputs_NCHW)
        return logits_NK
