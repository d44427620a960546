"""Disjoint, stratified and seeded train, validation and test splits.

Every random selection has its own random stream, so a limit on one split does not change the others.
Array dimensions: N images, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import torch
from sklearn.model_selection import train_test_split

from nas.data.labelled_images import ImageData, SourceImages, Split
from nas.errors import FaultyDataError, shortened_list
from nas.study.data_spec import DataSpec

Indices = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]


class RandomStream(IntEnum):
    """Random streams of a data specification's seed, one for each random selection."""

    TEST = 0
    VALIDATION = 1
    SUBSAMPLE_TRAIN = 2
    SUBSAMPLE_VALIDATION = 3
    PAIR_TRAIN = 4
    PAIR_VALIDATION = 5
    PAIR_TEST = 6


def split_images(source: SourceImages, spec: DataSpec) -> tuple[ImageData, Split]:
    """Split a source's images, then subsample the splits to the specification's limits.

    Returns:
        The data set of the search, and the test images.

    Raises:
        DataError: A class has too few images to be split, or a limit is below one image per class.
    """
    counts = source.train.class_counts(len(source.classes))
    faults = [*_small_class_faults(source, counts), *_limit_faults(spec, len(counts))]
    if faults:
        raise FaultyDataError(source.name, faults)
    train, test = source.train, source.test
    if test is None:
        # At least two images of each class remain: one for training and one for validation.
        train, test = _hold_out_part(train, spec.test_fraction, stream_generator(spec, RandomStream.TEST), min_kept=2)
    train, validation = _hold_out_part(train, spec.validation_fraction, stream_generator(spec, RandomStream.VALIDATION))
    data = ImageData(
        name=source.name,
        classes=source.classes,
        train=_subsample_part(
            train, _train_counts(train, spec, len(counts)), stream_generator(spec, RandomStream.SUBSAMPLE_TRAIN)
        ),
        validation=_subsample_part(
            validation,
            apportion(_class_counts(validation, len(counts)), spec.max_validation_images),
            stream_generator(spec, RandomStream.SUBSAMPLE_VALIDATION),
        ),
        num_test=len(test),
    )
    return data, test


def small_classes_fault(classes: Sequence[str], counts: Sequence[int], has_test: bool) -> str | None:
    """Return an error message for classes too small to be split, or None.

    Args:
        counts: Training images of each class.
        has_test: True if the source has its own test images.
    """
    needed = 2 if has_test else 3
    parts = "train and validation" if has_test else "train, validation and test"
    few = [f"{name!r} ({count})" for name, count in zip(classes, counts, strict=True) if count < needed]
    if not few:
        return None
    return f"too few training images to split into {parts}: {shortened_list(few)}; give each class at least {needed}"


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


def _small_class_faults(source: SourceImages, counts: Sequence[int]) -> list[str]:
    fault = small_classes_fault(source.classes, counts, source.test is not None)
    return [] if fault is None else [fault]


def _limit_faults(spec: DataSpec, num_classes: int) -> list[str]:
    limits = {"max_train_images": spec.max_train_images, "max_validation_images": spec.max_validation_images}
    return [
        f"{key} = {limit} leaves classes without an image; there are {num_classes} classes, give at least that many"
        for key, limit in limits.items()
        if limit is not None and limit < num_classes
    ]


def _train_counts(train: Split, spec: DataSpec, num_classes: int) -> Counts:
    counts = _class_counts(train, num_classes)
    if spec.images_per_class is not None:
        counts = np.minimum(counts, spec.images_per_class)
    if spec.long_tail is not None:
        counts = long_tail_counts(counts, spec.long_tail)
    return apportion(counts, spec.max_train_images)


def _class_counts(split: Split, num_classes: int) -> Counts:
    return np.asarray(split.class_counts(num_classes), dtype=np.int64)


def _hold_out_part(
    split: Split, fraction: float, generator: np.random.Generator, min_kept: int = 1
) -> tuple[Split, Split]:
    kept, held_out = hold_out(split.labels.numpy(), fraction, generator, min_kept)
    return split.select(torch.from_numpy(kept)), split.select(torch.from_numpy(held_out))


def _subsample_part(split: Split, sizes: Counts, generator: np.random.Generator) -> Split:
    if sizes.sum() == len(split):
        return split
    return split.select(torch.from_numpy(subsample(split.labels.numpy(), sizes, generator)))


def stream_generator(spec: DataSpec, stream: RandomStream) -> np.random.Generator:
    """Create the random generator of one stream."""
    # numpy accepts no negative seeds; the remainder maps them to large ones.
    return np.random.default_rng([spec.seed % 2**64, stream.value])
