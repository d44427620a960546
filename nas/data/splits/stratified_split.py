"""Train, validation and test parts that share no image, each choice seeded and stratified.

Every choice has a random stream of its own, so that a limit on one part leaves the others as they were.
K stands for the number of classes.
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
    """What is chosen at random."""

    TEST = 0
    VALIDATION = 1
    SUBSAMPLE_TRAIN = 2
    SUBSAMPLE_VALIDATION = 3
    PAIR_TRAIN = 4
    PAIR_VALIDATION = 5
    PAIR_TEST = 6


def split_images(source: SourceImages, spec: DataSpec) -> tuple[ImageData, Split]:
    """Split a source's images, then thin the parts as the specification says.

    Returns:
        What a search sees, and apart from it the test images.

    Raises:
        DataError: A class has too few images to be split, or a limit leaves less than an image a class.
    """
    counts = source.train.class_counts(len(source.classes))
    faults = [*_small_class_faults(source, counts), *_limit_faults(spec, len(counts))]
    if faults:
        raise FaultyDataError(source.name, faults)
    train, test = source.train, source.test
    if test is None:
        # Two images of each class stay: one to train and one for validation.
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
    """What is wrong with the classes that cannot be split, or None.

    Args:
        counts: Training images of each class.
        has_test: Whether the source has test images of its own.
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
    """Split indices in two, class by class: every class stands in both parts.

    scikit-learn's stratified split rounds a rare class's share to nothing, and a class without validation
    images has no F1; so classes too small for it get their share, at least one image, by hand.

    Args:
        labels: int64 [N]; each class that occurs has more than `min_kept` images.
        fraction: Share held out, in (0, 1).
        min_kept: Images of each class that are not held out, at least.

    Returns:
        The indices kept and held out, each in rising order.
    """
    counts = np.bincount(labels)
    # Both parts of such a class are sure of an image, and of `min_kept`, however the split rounds.
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


def subsample(labels: Indices, wanted: Counts, generator: np.random.Generator) -> Indices:
    """Choose `wanted[k]` images of each class k at random; a smaller wish chooses a subset of a larger one.

    Args:
        labels: int64 [N].
        wanted: int64 [K], none above the class's count.

    Returns:
        The chosen indices in rising order.
    """
    shuffled = generator.permutation(labels.size)
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    counts = np.bincount(labels, minlength=wanted.size)
    rank_in_class = np.arange(labels.size) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(by_class[rank_in_class < wanted[labels[by_class]]])


def apportion(counts: Counts, total: int | None) -> Counts:
    """Counts that add up to `total`, in proportion to the given ones, none below one.

    Args:
        counts: int64 [K], positive.
        total: At least K; None, or more than there are, changes nothing.

    Source: Hamilton's largest-remainder method; classes whose quota is below one get their one first.
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
    """Class sizes that fall exponentially over the order of classes: n_i = n_max · factor^(-i / (K - 1)).

    Args:
        counts: int64 [K], K >= 2; n_max is the largest of them, and no class gets more than it has.
        factor: n_max over the last class's size.

    Source: Cui et al., 2019, "Class-Balanced Loss Based on Effective Number of Samples", section 5.1.
    """
    exponents = -np.arange(counts.size) / (counts.size - 1)
    # The small term keeps 9.999999 from becoming 9 where the exact size is 10.
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


def _subsample_part(split: Split, wanted: Counts, generator: np.random.Generator) -> Split:
    if wanted.sum() == len(split):
        return split
    return split.select(torch.from_numpy(subsample(split.labels.numpy(), wanted, generator)))


def stream_generator(spec: DataSpec, stream: RandomStream) -> np.random.Generator:
    """The random numbers of one choice."""
    # numpy takes no negative seeds; the remainder maps them to large ones.
    return np.random.default_rng([spec.seed % 2**64, stream.value])
