"""Batches of a split that lives on the device: no workers, no copies between host and device.

Tensor dimensions: N images, B images of a batch, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from nas.data.labelled_images import Split
from nas.data.sampling.class_balanced_sampling import Draws, Sampler


def sequential_batches(split: Split, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image once, for evaluation: views of (images uint8 [B, C, H, W], labels int64 [B])."""
    for start in range(0, len(split), batch_size):
        batch = slice(start, start + batch_size)
        yield split.images[batch], split.labels[batch]


def gather(split: Split, draws: Draws) -> Split:
    """The images that were drawn, on the split's device; where two were drawn, what lies between them.

    What lies between two pairs shows parts of no class.
    """
    chosen = split.select(draws.first)
    if draws.second is None or draws.gap is None:
        return chosen
    others_BCHW = split.images.index_select(0, draws.second)
    return type(split)(_interpolate(chosen.images, others_BCHW, draws.gap), chosen.labels)


class Batches:
    """Which images each training batch shows, as a sampler draws them.

    Args:
        batch_size: Images of a batch; the last batch of an epoch may have fewer.
        device: Where the draws are needed.

    Raises:
        ValueError: Nothing is drawn, or the batch size is not positive.
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
        """Batches of an epoch, for schedules that count steps."""
        return len(self._starts())

    def epoch(self, number: int, first: int = 0) -> Iterator[Draws]:
        """One epoch, which goes to the device as a whole: slices of it are no copies.

        Batch normalisation over one image of one pixel has no variance and raises an error. So a last
        batch of one image is left out; it is another image in each epoch. A batch size of one, and a
        split of one image, are taken at their word, since nothing would be left.

        Args:
            number: Of the epoch, from 0.
            first: The batch to begin with, from 0.
        """
        draws = self._sampler.draws(number).to(self._device)
        for start in self._starts()[first:]:
            yield draws.part(slice(start, start + self._batch_size))

    def _starts(self) -> range:
        num_draws = self._sampler.num_draws
        is_last_alone = num_draws % self._batch_size == 1 and 1 < self._batch_size < num_draws
        return range(0, num_draws - 1 if is_last_alone else num_draws, self._batch_size)


def _interpolate(first_BCHW: Tensor, second_BCHW: Tensor, gap_B: Tensor) -> Tensor:
    """Images on the lines between pairs, rounded to whole pixels; features as they come."""
    between_BCHW = torch.lerp(first_BCHW.float(), second_BCHW.float(), gap_B.reshape(-1, 1, 1, 1))
    return between_BCHW if first_BCHW.is_floating_point() else between_BCHW.round_().to(torch.uint8)
