"""Stratified choices among images, by class: hold-out, subsampling, apportionment, long tail.

Array dimensions: N images, K classes.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

Indices = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]


def hold_out(
    labels: Indices, fraction: float, generator: np.random.Generator, min_kept: int = 1
) -> tuple[Indices, Indices]:
    """Split indices in two, stratified, with every class in both parts.

    scikit-learn's stratified split can round a rare class's share to zero, and a class without validation
    images has no F1. So classes too small for it are split separately, with at least one image held out.

    Args:
        labels: int64 [N]; each class that occurs has more than `min_kept` images.
        fraction: Share held out, in (0, 1).
        min_kept: Minimum number of images of each class that are not held out.

    Returns:
        The indices kept and held out, each in ascending order.
    """
    counts = np.bincount(labels)
    # For these classes the split holds out at least one image and keeps at least `min_kept`, however it rounds.
    is_common = (counts * fraction >= 1) & (counts * (1 - fraction) >= min_kept + 1)
    held_out = [np.zeros(0, np.int64)]
    common = np.flatnonzero(is_common[labels])
    if common.size:
        _, part = train_test_split(
            common,
            test_size=math.ceil(fraction * common.size),
            stratify=labels[common],
            random_state=int(generator.integers(2**31)),
        )
        held_out.append(part)
    for label in np.flatnonzero((counts > 0) & ~is_common):
        members = np.flatnonzero(labels == label)
        size = min(max(round(fraction * members.size), 1), members.size - min_kept)
        held_out.append(generator.permutation(members)[:size])
    indices = np.sort(np.concatenate(held_out))
    return np.setdiff1d(np.arange(labels.size), indices, assume_unique=True), indices


def subsample(labels: Indices, sizes: Counts, generator: np.random.Generator) -> Indices:
    """Choose `sizes[k]` images of each class k at random; with equal seeds, smaller sizes choose subsets.

    Args:
        labels: int64 [N].
        sizes: int64 [K], none above the class's count.

    Returns:
        The chosen indices in ascending order.
    """
    shuffled = generator.permutation(labels.size)
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    counts = np.bincount(labels, minlength=sizes.size)
    rank_in_class = np.arange(labels.size) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(by_class[rank_in_class < sizes[labels[by_class]]])


def apportion(counts: Counts, total: int | None) -> Counts:
    """Scale counts proportionally to sum to `total`, with at least one each.

    Args:
        counts: int64 [K], positive.
        total: At least K; None, or a total above the sum, returns the counts unchanged.

    Source: Hamilton's largest-remainder method; classes whose quota is below one first get one each.
    """
    if total is None or total >= counts.sum():
        return counts
    shares = np.ones_like(counts)
    above = np.ones(counts.size, dtype=bool)
    while above.any():
        left = total - int((~above).sum())
        quotas = counts * left / counts[above].sum()
        below = above & (quotas < 1)
        if not below.any():
            shares[above] = np.floor(quotas[above]).astype(np.int64)
            remainders = np.where(above, quotas - shares, -1.0)
            missing = total - int(shares.sum())
            shares[np.argsort(-remainders, kind="stable")[:missing]] += 1
            break
        above &= ~below
    return shares


def long_tail_counts(counts: Counts, factor: float) -> Counts:
    """Return class sizes that decrease exponentially with the class index: n_i = n_max · factor^(-i / (K - 1)).

    Args:
        counts: int64 [K], K >= 2; n_max is the largest count, and no class gets more than its count.
        factor: Imbalance factor: n_max divided by the size of the last class.

    Source: Cui et al., 2019, "Class-Balanced Loss Based on Effective Number of Samples", section 5.1.
    """
    exponents = -np.arange(counts.size) / (counts.size - 1)
    # The small term prevents 9.999999 from being rounded down to 9 where the exact size is 10.
    profile = np.floor(counts.max() * factor**exponents + 1e-9).astype(np.int64)
    sizes: Counts = np.minimum(counts, np.maximum(profile, 1))
    return sizes
