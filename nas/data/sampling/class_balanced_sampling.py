"""Which training images an epoch shows, and in which order.

Every epoch follows from the seed and the epoch's number alone, and is drawn on the host: a run resumed at epoch 7
sees what an uninterrupted run would have seen, on every device.

Tensor dimensions: N images, D draws of an epoch, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Draws:
    """An epoch's images in order: `first` + `gap` · (`second` - `first`), labelled as `first`.

    Attributes:
        first: Indices of images, int64 [D].
        second: Likewise; None where every image is shown as it is.
        gap: In [0, 1), 0 for an image shown as it is, float32 [D]; None likewise.
    """

    first: Tensor
    second: Tensor | None = None
    gap: Tensor | None = None

    def __len__(self) -> int:
        return len(self.first)

    def to(self, device: torch.device | str) -> Draws:
        """The same draws on a device."""
        return self._each(lambda tensor: tensor.to(device))

    def part(self, indices: slice) -> Draws:
        """Some of the draws, as views."""
        return self._each(lambda tensor: tensor[indices])

    def clone(self) -> Draws:
        """The same draws in memory of their own."""
        return self._each(torch.clone)

    def copy_(self, other: Draws) -> None:
        """Take the values of as many other draws, where this one's lie."""
        for own, theirs in ((self.first, other.first), (self.second, other.second), (self.gap, other.gap)):
            if own is not None and theirs is not None:
                own.copy_(theirs)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Draws:
        second = None if self.second is None else change(self.second)
        gap = None if self.gap is None else change(self.gap)
        return Draws(change(self.first), second, gap)


class Sampler(Protocol):
    """Chooses what an epoch shows."""

    @property
    def num_draws(self) -> int:
        """Images of an epoch."""

    def draws(self, epoch: int) -> Draws:
        """The epoch of that number, from 0."""


class ShuffleSampler:
    """Every image once."""

    def __init__(self, num_images: int, seed: int) -> None:
        self.num_draws = num_images
        self._seed = seed

    def draws(self, epoch: int) -> Draws:
        """A permutation."""
        generator = torch.Generator().manual_seed(epoch_seed(self._seed, epoch))
        return Draws(torch.randperm(self.num_draws, generator=generator))


class ClassBalancedSampler:
    """As many draws as there are images, shared among the classes in proportion to nᵖ, n being a class's images.

    Within a class every image is drawn once before one is drawn again. Power 1 is what the data have, 0 gives every
    class the same share, and 0.5 is square-root sampling.

    Args:
        labels: int64 [N].

    Source: Mahajan et al., 2018 (square root); Kang et al., "Decoupling Representation and Classifier for
    Long-Tailed Recognition", 2020, equation 1.
    """

    def __init__(self, labels: Tensor, power: float, seed: int) -> None:
        counts = np.bincount(labels.numpy())
        self._members = [np.flatnonzero(labels.numpy() == label) for label in range(counts.size)]
        weights = np.where(counts > 0, np.power(np.maximum(counts, 1), power, dtype=np.float64), 0.0)
        self._quotas = weights / weights.sum() * len(labels)
        self._seed = seed
        self.num_draws = len(labels)

    def draws(self, epoch: int) -> Draws:
        """Images by class, in random order."""
        generator = np.random.default_rng(epoch_seed(self._seed, epoch))
        return Draws(torch.from_numpy(generator.permutation(self.by_class(generator))))

    def by_class(self, generator: np.random.Generator) -> npt.NDArray[np.int64]:
        """Indices of the epoch's images, class by class."""
        chosen = [
            _draw_cyclically(members, count, generator)
            for members, count in zip(self._members, self._draws_per_class(generator), strict=True)
        ]
        return np.concatenate(chosen)

    def _draws_per_class(self, generator: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draws of each class: its quota rounded up or down by chance, so that none is favoured over many epochs."""
        # Systematic sampling: rounding the running sums by one random offset keeps the total.
        sums = np.floor(np.cumsum(self._quotas) + generator.random() + 1e-9).astype(np.int64)
        sums[-1] = self.num_draws
        return np.diff(np.minimum(sums, self.num_draws), prepend=0)


def _draw_cyclically(
    members: npt.NDArray[np.int64], count: int, generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """So many of the members, each once before one comes again."""
    if count == 0:
        return members[:0]
    rounds = [generator.permutation(members) for _ in range(-(-count // members.size))]
    return np.concatenate(rounds)[:count]


def epoch_seed(seed: int, epoch: int) -> int:
    """A seed of its own for each epoch: neighbouring seeds and epochs must not share streams, as a sum's would."""
    return int(np.random.SeedSequence([seed % 2**64, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))
