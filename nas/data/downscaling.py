"""Downscaling of images by the mean over squares of pixels.

Tensor dimensions: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from nas.data.decoding.image_decoding import shrink_pixels
from nas.data.labelled_images import SourceImages, Split
from nas.errors import DataError

_CHUNK_IMAGES = 4096


def shrink_source(source: SourceImages, factor: int) -> SourceImages:
    """Downscale all images of a source by an integer factor.

    Raises:
        DataError: The factor does not divide both sides.
    """
    height, width = source.train.images.shape[2:]
    if height % factor or width % factor:
        raise DataError(
            f"{source.name}: shrink = {factor} does not divide images of {height} x {width} pixels; "
            "give a divisor of both sides"
        )
    shrunk = {name: Split(_shrink(split.images, factor), split.labels) for name, split in source.splits.items()}
    return replace(
        source, train=shrunk["train"], test=shrunk.get("test"), validation=shrunk.get("validation")
    )  # fmt: skip


def _shrink(images_NCHW: Tensor, factor: int) -> Tensor:
    """Downscale in chunks, since squares of many images need four times the memory of the images."""
    pieces = [shrink_pixels(piece.numpy(), factor) for piece in torch.split(images_NCHW, _CHUNK_IMAGES)]
    return torch.from_numpy(np.concatenate(pieces))
