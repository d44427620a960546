"""Samplers of training images: shuffled and class-balanced.

Every epoch is determined by the seed and the epoch number alone, and is drawn on the host. So a run resumed at epoch 7
has the same images as an uninterrupted run, on every device.

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
    """Sampled images of an epoch in order: `first` + `gap` · (`second` - `first`), labelled as `first`.

    Attributes:
        first: Image indices, int64 [D].
        second: Image indices to interpolate towards, int64 [D]; None without synthetic images.
        gap: Interpolation weight in [0, 1), 0 for real images, float32 [D]; None without synthetic images.
    """

    first: Tensor
    second: Tensor | None = None
    gap: Tensor | None = None

    def __len__(self) -> int:
        return len(self.first)

    def to(self, device: torch.device | str) -> Draws:
        """Move the draws to a device."""
        return self._each(lambda tensor: tensor.to(device))

    def part(self, indices: slice) -> Draws:
        """Select a slice of the draws, as views."""
        return self._each(lambda tensor: tensor[indices])

    def clone(self) -> Draws:
        """Copy the draws."""
        return self._each(torch.clone)

    def copy_(self, other: Draws) -> None:
        """Copy the values of other draws of the same length in place."""
        for target, source in ((self.first, other.first), (self.second, other.second), (self.gap, other.gap)):
            if target is not None and source is not None:
                target.copy_(source)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Draws:
        second = None if self.second is None else change(self.second)
        gap = None if self.gap is None else change(self.gap)
        return Draws(change(self.first), second, gap)


class Sampler(Protocol):
    """Protocol of samplers: the images of each epoch."""

    @property
    def num_draws(self) -> int:
        """Number of images per epoch."""

    def draws(self, epoch: int) -> Draws:
        """Draw the images of an epoch, numbered from 0."""


class ShuffleSampler:
    """Sampler of every image once per epoch, in random order."""

    def __init__(self, num_images: int, seed: int) -> None:
        self.num_draws = num_images
        self._seed = seed

    def draws(self, epoch: int) -> Draws:
        """Draw a random permutation of all images."""
        generator = torch.Generator().manual_seed(epoch_seed(self._seed, epoch))
        return Draws(torch.randperm(self.num_draws, generator=generator))


class ClassBalancedSampler:
    """Sampler with class probabilities proportional to nᵖ, where n is the number of images of a class.

    An epoch has as many draws as there are images. Within a class every image is drawn once before one is repeated.
    p = 1 keeps the class distribution of the data, p = 0 is class-balanced, and p = 0.5 is square-root sampling.

    Args:
        labels: int64 [N].
        power: The exponent p.

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
        """Draw the images of an epoch, in random order."""
        generator = np.random.default_rng(epoch_seed(self._seed, epoch))
        return Draws(torch.from_numpy(generator.permutation(self.by_class(generator))))

    def by_class(self, generator: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draw the image indices of an epoch, ordered by class."""
        chosen = [
            _draw_cyclically(members, count, generator)
            for members, count in zip(self._members, self._draws_per_class(generator), strict=True)
        ]
        return np.concatenate(chosen)

    def _draws_per_class(self, generator: np.random.Generator) -> npt.NDArray[np.int64]:
        """Draw the number of images of each class: its quota, rounded up or down at random without bias."""
        # Systematic sampling: rounding the running sums by one random offset keeps the total.
        sums = np.floor(np.cumsum(self._quotas) + generator.random() + 1e-9).astype(np.int64)
        sums[-1] = self.num_draws
        return np.diff(np.minimum(sums, self.num_draws), prepend=0)


def _draw_cyclically(
    members: npt.NDArray[np.int64], count: int, generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw `count` members in random order; each once before any is repeated."""
    if count == 0:
        return members[:0]
    rounds = [generator.permutation(members) for _ in range(-(-count // members.size))]
    return np.concatenate(rounds)[:count]


def epoch_seed(seed: int, epoch: int) -> int:
    """Derive an epoch's seed by hashing; with `seed + epoch`, neighbouring seeds and epochs would share streams."""
    return int(np.random.SeedSequence([seed % 2**64, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))
