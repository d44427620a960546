"""Batches of a split that lives on the device: no workers, no copies between host and device.

Tensor dimensions: N images, B images of a batch, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from nas.data.images import Split
from nas.data.sampling import Sampler


def in_order(split: Split, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image once, for evaluation: views of (images uint8 [B, C, H, W], labels int64 [B])."""
    for start in range(0, len(split), batch_size):
        batch = slice(start, start + batch_size)
        yield split.images[batch], split.labels[batch]


class Batches:
    """Training batches of (images uint8 [B, C, H, W], labels int64 [B]), as a sampler draws them.

    Args:
        split: At least one image.
        sampler: Of the split's images.
        batch_size: Images of a batch; the last batch of an epoch may have fewer.
        device: Where the images live from now on.

    Raises:
        ValueError: The split is empty, or the batch size is not positive.
    """

    def __init__(self, split: Split, sampler: Sampler, batch_size: int, device: torch.device | str) -> None:
        if len(split) == 0:
            raise ValueError("a split without images has no batches")
        if batch_size < 1:
            raise ValueError(f"batch_size must be positive, not {batch_size}")
        self._split = split.to(device)
        self._sampler = sampler
        self._batch_size = batch_size

    @property
    def num_batches(self) -> int:
        """Batches of an epoch, for schedules that count steps."""
        return len(self._starts())

    def epoch(self, number: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch.

        Batch normalisation over one image of one pixel has no variance and raises an error. So a last
        batch of one image is left out; it is another image in each epoch. A batch size of one, and a
        split of one image, are taken at their word, since nothing would be left.

        Args:
            number: Of the epoch, from 0.
            first: The batch to begin with, from 0.
        """
        draws = self._sampler.draws(number)
        device = self._split.labels.device
        first_D = draws.first.to(device)
        second_D = None if draws.second is None else draws.second.to(device)
        gap_D = None if draws.gap is None else draws.gap.to(device)
        for start in self._starts()[first:]:
            chosen = slice(start, start + self._batch_size)
            batch = self._split.select(first_D[chosen])
            if second_D is None or gap_D is None:
                yield batch.images, batch.labels
            else:
                others_BCHW = self._split.images.index_select(0, second_D[chosen])
                yield _between(batch.images, others_BCHW, gap_D[chosen]), batch.labels

    def _starts(self) -> range:
        num_draws = self._sampler.num_draws
        is_last_alone = num_draws % self._batch_size == 1 and 1 < self._batch_size < num_draws
        return range(0, num_draws - 1 if is_last_alone else num_draws, self._batch_size)


def _between(first_BCHW: Tensor, second_BCHW: Tensor, gap_B: Tensor) -> Tensor:
    """Images on the lines between pairs, rounded to whole pixels."""
    between_BCHW = torch.lerp(first_BCHW.float(), second_BCHW.float(), gap_B.reshape(-1, 1, 1, 1))
    return between_BCHW.round_().to(torch.uint8)
