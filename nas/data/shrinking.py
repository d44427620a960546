"""Smaller images, by the mean over squares of pixels.

Tensor dimensions: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from nas.data.images import SourceImages, Split
from nas.errors import DataError

_CHUNK_IMAGES = 4096


def shrink_source(source: SourceImages, factor: int) -> SourceImages:
    """A source with each side of its images divided by a whole number.

    Raises:
        DataError: A side is not divisible by it.
    """
    height, width = source.train.images.shape[2:]
    if height % factor or width % factor:
        raise DataError(
            f"{source.name}: shrink = {factor} does not divide images of {height} x {width} pixels; "
            "give a divisor of both sides"
        )
    train, test = source.train, source.test
    return replace(
        source, train=Split(shrink(train.images, factor), train.labels),
        test=None if test is None else Split(shrink(test.images, factor), test.labels),
    )  # fmt: skip


def shrink(images_NCHW: Tensor, factor: int) -> Tensor:
    """The mean of each square of `factor` x `factor` pixels, rounded; uint8 to uint8."""
    chunks = [
        functional.avg_pool2d(chunk.float(), factor).round_().to(torch.uint8)
        for chunk in torch.split(images_NCHW, _CHUNK_IMAGES)
    ]
    return torch.cat(chunks)
