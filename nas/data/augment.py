"""Random changes of training images, for a whole batch at once on its device.

Tensor dimensions: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def random_shift(images_NCHW: Tensor, max_pixels: int, generator: torch.Generator, padding: float = 0.0) -> Tensor:
    """Shift each image by whole pixels of its own along each axis; what leaves the frame is lost.

    Each image is cut from a padded copy of itself at a random corner. The windows are views, so one
    indexing copies the chosen ones.

    Args:
        images_NCHW: Of any type.
        max_pixels: Shifts are uniform in [-max_pixels, max_pixels].
        generator: Of the shifts; drawn on its own device, then moved.
        padding: The value where there was no image.

    Returns:
        Images of the same shape and type.

    Raises:
        ValueError: `max_pixels` is negative.
    """
    if max_pixels < 0:
        raise ValueError(f"max_pixels must not be negative, not {max_pixels}")
    if max_pixels == 0:
        return images_NCHW
    num_images, _, height, width = images_NCHW.shape
    shifts = torch.randint(-max_pixels, max_pixels + 1, (2, num_images), generator=generator, device=generator.device)
    # A shift down by 2 starts the window 2 rows above the image.
    rows, columns = (max_pixels - shifts).to(images_NCHW.device)
    padded = functional.pad(images_NCHW, (max_pixels,) * 4, value=padding)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(num_images, device=images_NCHW.device), :, rows, columns]
