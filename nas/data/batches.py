"""Batches of a split that lives on the device: no workers, no copies between host and device.

Tensor dimensions: N images, B images of a batch, C channels, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from nas.data.images import Split


class Batches:
    """Batches of (images uint8 [B, C, H, W], labels int64 [B]), shuffled for training or in order.

    The order of an epoch follows from the seed and the epoch's number alone. So a run resumed at epoch 7
    sees what an uninterrupted run would have seen, on every device.

    Args:
        split: At least one image.
        batch_size: Images of a batch; the last batch of an epoch may have fewer.
        device: Where the images live from now on.
        seed: Of the shuffling.

    Raises:
        ValueError: The split is empty, or the batch size is not positive.
    """

    def __init__(self, split: Split, batch_size: int, device: torch.device | str, seed: int = 0) -> None:
        if len(split) == 0:
            raise ValueError("a split without images has no batches")
        if batch_size < 1:
            raise ValueError(f"batch_size must be positive, not {batch_size}")
        self._split = split.to(device)
        self._batch_size = batch_size
        self._seed = seed

    @property
    def num_shuffled(self) -> int:
        """Batches of a shuffled epoch, for schedules that count steps."""
        return len(self._shuffled_starts())

    def shuffled(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch for training.

        Batch normalisation over one image of one pixel has no variance and raises an error. So a last
        batch of one image is left out; it is another image in each epoch. A batch size of one, and a
        split of one image, are taken at their word, since nothing would be left.

        Args:
            epoch: Number of the epoch, from 0.
        """
        # On the host, so that a GPU run and a CPU run see the same order.
        generator = torch.Generator().manual_seed(_epoch_seed(self._seed, epoch))
        order = torch.randperm(len(self._split), generator=generator).to(self._split.labels.device)
        for start in self._shuffled_starts():
            batch = self._split.select(order[start : start + self._batch_size])
            yield batch.images, batch.labels

    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, for evaluation; the batches are views."""
        for start in range(0, len(self._split), self._batch_size):
            batch = slice(start, start + self._batch_size)
            yield self._split.images[batch], self._split.labels[batch]

    def _shuffled_starts(self) -> range:
        num_images = len(self._split)
        is_last_alone = num_images % self._batch_size == 1 and 1 < self._batch_size < num_images
        return range(0, num_images - 1 if is_last_alone else num_images, self._batch_size)


def _epoch_seed(seed: int, epoch: int) -> int:
    # Neighbouring seeds and epochs must not share streams, which a sum would do.
    return int(np.random.SeedSequence([seed % 2**64, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))
