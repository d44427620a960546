"""Batches of a split in device memory, without loader workers or host-to-device copies of images.

Tensor dimensions: N images, B images of a batch, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from nas.data.labelled_images import Split
from nas.data.sampling.samplers import Draws, Sampler


def sequential_batches(split: Split, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Iterate over a split in order, for evaluation: views of (images uint8 [B, C, H, W], labels int64 [B])."""
    for start in range(0, len(split), batch_size):
        batch = slice(start, start + batch_size)
        yield split.images[batch], split.labels[batch]


def gather(split: Split, draws: Draws) -> Split:
    """Gather the drawn images on the split's device, and interpolate where two were drawn.

    Images interpolated between two pairs have no `parts`, since they belong to no pair of classes.
    """
    chosen = split.select(draws.first)
    if draws.second is None or draws.gap is None:
        return chosen
    others_BCHW = split.images.index_select(0, draws.second)
    return type(split)(_interpolate(chosen.images, others_BCHW, draws.gap), chosen.labels)


class Batches:
    """Training batches of image indices from a sampler.

    Args:
        batch_size: Images per batch; the last batch of an epoch may have fewer.
        device: Device of the draws.

    Raises:
        ValueError: The sampler draws no images, or the batch size is not positive.
    """

    def __init__(self, sampler: Sampler, batch_size: int, device: torch.device | str) -> None:
        if sampler.num_draws == 0:
            raise ValueError("a split without images has no batches")
        if batch_size < 1:
            raise ValueError(f"batch_size must be positive, not {batch_size}")
        self._sampler = sampler
        self._batch_size = batch_size
        self._device = device

    @property
    def num_batches(self) -> int:
        """Number of batches per epoch, for schedules that count steps."""
        return len(self._starts())

    def epoch(self, number: int, first: int = 0) -> Iterator[Draws]:
        """Iterate over the batches of one epoch; its draws are moved to the device once, and batches are views.

        Batch normalisation over one image of one pixel has no variance and raises an error. So a last
        batch of one image is dropped; it is another image in each epoch. With a batch size of one or a
        split of one image nothing is dropped, since no batch would remain.

        Args:
            number: Epoch number, from 0.
            first: First batch, from 0.
        """
        draws = self._sampler.draws(number).to(self._device)
        for start in self._starts()[first:]:
            yield draws.part(slice(start, start + self._batch_size))

    def _starts(self) -> range:
        num_draws = self._sampler.num_draws
        is_last_alone = num_draws % self._batch_size == 1 and 1 < self._batch_size < num_draws
        return range(0, num_draws - 1 if is_last_alone else num_draws, self._batch_size)


def _interpolate(first_BCHW: Tensor, second_BCHW: Tensor, gap_B: Tensor) -> Tensor:
    """Interpolate linearly between pairs of images, rounded to integer pixels; features are not rounded."""
    between_BCHW = torch.lerp(first_BCHW.float(), second_BCHW.float(), gap_B.reshape(-1, 1, 1, 1))
    return between_BCHW if first_BCHW.is_floating_point() else between_BCHW.round_().to(torch.uint8)
