"""Rotation, shear and elastic deformation of a batch of images in a single resampling.

Tensor dimensions: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_COARSE_GRID_SIZE = 4


def warp(images_NCHW: Tensor, matrices_N22: Tensor, displacements_NHW2: Tensor | None = None) -> Tensor:
    """Resample each image with its own matrix and displacement field; bilinear, black outside.

    Args:
        images_NCHW: Any dtype.
        matrices_N22: Map output (x, y) to input (x, y), in pixels from the image centre; x to the right, y down.
        displacements_NHW2: Added to the input (x, y), in pixels.

    Returns:
        float32 images of the same shape.
    """
    _, _, height, width = images_NCHW.shape
    device = images_NCHW.device
    x_W = torch.arange(width, device=device) - (width - 1) / 2
    y_H = torch.arange(height, device=device) - (height - 1) / 2
    centred_HW2 = torch.stack(torch.meshgrid(x_W, y_H, indexing="xy"), dim=-1)
    places_NHW2 = torch.einsum("nij,hwj->nhwi", matrices_N22, centred_HW2)
    if displacements_NHW2 is not None:
        places_NHW2 = places_NHW2 + displacements_NHW2
    # grid_sample coordinates run from -1 at the outer edge of the first pixel to 1 at that of the last. The divisors
    # are numbers: a tensor of the two would be copied from the host, which a CUDA graph cannot capture.
    x_NHW, y_NHW = (places_NHW2 * 2).unbind(-1)
    grid_NHW2 = torch.stack([x_NHW / width, y_NHW / height], dim=-1)
    return functional.grid_sample(
        images_NCHW.float(), grid_NHW2, mode="bilinear", padding_mode="zeros", align_corners=False
    )


def rotations(degrees_N: Tensor) -> Tensor:
    """Return matrices [N, 2, 2] for `warp` that rotate images counterclockwise."""
    radians_N = degrees_N * (math.pi / 180)
    cos_N, sin_N = radians_N.cos(), radians_N.sin()
    # y points down, so this is the inverse of a counterclockwise rotation on the screen.
    return torch.stack([torch.stack([cos_N, -sin_N], -1), torch.stack([sin_N, cos_N], -1)], -2)


def shears(degrees_N: Tensor) -> Tensor:
    """Return matrices [N, 2, 2] for `warp` that shear images along x; a positive angle moves the bottom to the left."""
    tan_N = (degrees_N * (math.pi / 180)).tan()
    one_N, zero_N = torch.ones_like(tan_N), torch.zeros_like(tan_N)
    return torch.stack([torch.stack([one_N, tan_N], -1), torch.stack([zero_N, one_N], -1)], -2)


def elastic_displacements(noise_N2GG: Tensor, std_pixels: float, height: int, width: int) -> Tensor:
    """Interpolate coarse noise to a smooth random displacement field, [N, H, W, 2].

    Args:
        noise_N2GG: Standard normal, of shape `coarse_noise_shape`.
        std_pixels: Standard deviation at the points of the coarse grid, in pixels.

    Source: Ronneberger et al., "U-Net", 2015, section 3.1: normal displacements on a coarse grid, interpolated
    bicubically; after Simard et al., "Best Practices for Convolutional Neural Networks", 2003.
    """
    fine_N2HW = functional.interpolate(
        noise_N2GG * std_pixels, size=(height, width), mode="bicubic", align_corners=True
    )
    return fine_N2HW.permute(0, 2, 3, 1)


def coarse_noise_shape(num_images: int) -> tuple[int, int, int, int]:
    """Shape of the noise tensor for `elastic_displacements`."""
    return (num_images, 2, _COARSE_GRID_SIZE, _COARSE_GRID_SIZE)
