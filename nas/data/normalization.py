"""Input normalisation: pixels 0–255 to mean 0 and standard deviation 1 on the training images.

Tensor dimensions: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MAX_PIXEL = 255.0
MIN_STD = 1e-3
CHUNK_IMAGES = 4096


def channel_statistics(images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, for pixels scaled to [0, 1].

    Sums of uint8 pixels and of their squares are integers that float64 represents exactly (up to 10^11
    pixels). So one pass is enough. Chunks only bound the memory.

    Args:
        images_NCHW: uint8, at least one image.

    Returns:
        Two float32 tensors [C]: mean and population standard deviation. The latter is at least 0.001, so that
        normalising a constant channel does not divide by zero.
    """
    num_pixels = images_NCHW.numel() // images_NCHW.shape[1]
    sums = torch.zeros(2, images_NCHW.shape[1], dtype=torch.float64, device=images_NCHW.device)
    for start in range(0, len(images_NCHW), CHUNK_IMAGES):
        pixels = images_NCHW[start : start + CHUNK_IMAGES].to(torch.float64)
        sums[0] += pixels.sum(dim=(0, 2, 3))
        sums[1] += pixels.square_().sum(dim=(0, 2, 3))
    mean, mean_square = sums / num_pixels
    std = (mean_square - mean.square()).clamp(min=0.0).sqrt()
    return (mean / MAX_PIXEL).float(), (std / MAX_PIXEL).clamp(min=MIN_STD).float()


class Normalization(nn.Module):
    """Per-channel normalisation layer, (pixels / 255 - mean) / std; part of the exported network.

    Args:
        mean: [C], in [0, 1].
        std: [C], positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.detach().float().reshape(1, -1, 1, 1))
        self.register_buffer("std", std.detach().float().reshape(1, -1, 1, 1))

    @classmethod
    def of(cls, images_NCHW: Tensor) -> Normalization:
        """Create the layer from the channel statistics of (training) images."""
        return cls(*channel_statistics(images_NCHW))

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Normalise pixels 0–255 (uint8, or float after resampling) to float32 of the same shape."""
        return (images_NCHW.to(torch.float32) / MAX_PIXEL - self.mean) / self.std
