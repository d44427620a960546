"""Pairs of images from the same split, labelled by a relation between their classes.

Tensor dimensions: N images, P pairs, C channels, H rows, W columns, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from nas.data.labelled_images import ImageData, Split
from nas.data.splits.stratified_split import RandomStream, stream_generator
from nas.errors import FaultyDataError
from nas.results.dataset_inventory import DatasetInventory, InventoryEntry
from nas.study.data_spec import DataSpec
from nas.study.pairs_spec import Relation

Indices = npt.NDArray[np.int64]

_STREAMS: Mapping[str, RandomStream] = {
    "train": RandomStream.PAIR_TRAIN, "validation": RandomStream.PAIR_VALIDATION, "test": RandomStream.PAIR_TEST,
}  # fmt: skip
# Number of rounds of random swaps; enough for the pairs to be independent of their initial order.
_NUM_SWAP_ROUNDS = 32


def pair_data(data: ImageData, test: Split, spec: DataSpec) -> tuple[ImageData, Split]:
    """Convert a data set to pairs if the specification has them; else return it unchanged.

    No image is in two pairs or in two splits. Each split has its own random stream.

    Raises:
        DataError: A split has too few images for the requested pairs, or all of its pairs have the same label.
    """
    if spec.pairs is None:
        return data, test
    images = {"train": data.train, "validation": data.validation, "test": test}
    requested = {"train": spec.pairs.train, "validation": spec.pairs.validation, "test": spec.pairs.test}
    max_pairs = {part: _max_pairs(split, spec.pairs.relation) for part, split in images.items()}
    faults = [
        f"pairs.{part}: {requested[part] or 1:,} pairs cannot be made of {len(images[part]):,} images, "
        f"each in one pair; at most {max_pairs[part]:,}"
        for part in images
        if (requested[part] or 1) > max_pairs[part]
    ]
    if faults:
        raise FaultyDataError(data.name, faults)
    pairs = {part: _draw_pairs(split, spec, part, requested[part] or max_pairs[part]) for part, split in images.items()}
    faults = [f"pairs.{part}: {fault}" for part, split in pairs.items() for fault in _label_faults(split, spec)]
    if faults:
        raise FaultyDataError(data.name, faults)
    paired = replace(
        data, classes=spec.pairs.classes, part_classes=data.classes, train=pairs["train"],
        validation=pairs["validation"], num_test=len(pairs["test"]), inventory=_with_unpaired(data, images, pairs),
    )  # fmt: skip
    return paired, pairs["test"]


def _with_unpaired(data: ImageData, images: Mapping[str, Split], pairs: Mapping[str, Split]) -> DatasetInventory | None:
    """Return the inventory with the images that are in no pair."""
    if data.inventory is None:
        return None
    return data.inventory.with_left_out(
        InventoryEntry(f"{part} images in no pair", len(images[part]) - 2 * len(pairs[part]), is_expected=True)
        for part in images
    )


def pair_subsampled_validation(validation: Split, spec: DataSpec) -> Split:
    """Pair subsampled validation images; at most as many pairs as specified, fewer if the images do not suffice."""
    if spec.pairs is None:
        return validation
    max_pairs = _max_pairs(validation, spec.pairs.relation)
    return _draw_pairs(validation, spec, "validation", min(max_pairs, spec.pairs.validation or max_pairs))


def _draw_pairs(images: Split, spec: DataSpec, part: str, count: int) -> Split:
    """Draw `count` labelled pairs from the images of a split."""
    assert spec.pairs is not None
    labels, generator = images.labels.numpy(), stream_generator(spec, _STREAMS[part])
    if spec.pairs.relation == "same":
        pairs_2P = _half_same_class_pairs(labels, count, generator)
    else:
        pairs_2P = generator.permutation(labels.size)[: 2 * count].reshape(2, count)
    first_P, second_P = torch.from_numpy(pairs_2P)
    parts_P2 = torch.stack([images.labels[first_P], images.labels[second_P]], 1)
    is_same = spec.pairs.relation == "same"
    answers_P = parts_P2[:, 0] == parts_P2[:, 1] if is_same else parts_P2[:, 0] > parts_P2[:, 1]
    stacked = torch.cat([images.images[first_P], images.images[second_P]], 1)
    return Split(stacked, answers_P.long(), parts_P2)


def _max_pairs(images: Split, relation: Relation) -> int:
    """Return the maximum number of disjoint pairs; for relation "same" with the quotas of `_same_class_quotas`."""
    if relation == "larger":
        return len(images) // 2
    counts = np.bincount(images.labels.numpy())
    # Each pair of different classes has an image that is not of the largest class.
    bound = min(len(images) // 2, 2 * int(counts.sum() - counts.max()))
    return next((count for count in range(bound, 0, -1) if _is_feasible(counts, count)), 0)


def _is_feasible(counts_K: Indices, count: int) -> bool:
    """Return True if the images left after the same-class pairs suffice for the pairs of different classes.

    Each such pair has at most one image of a class, so at most `num_different` images of a class count.
    """
    quotas_K, num_different = _same_class_quotas(counts_K, count)
    left_K = counts_K - 2 * quotas_K
    return int(left_K.min()) >= 0 and int(np.minimum(left_K, num_different).sum()) >= 2 * num_different


def _same_class_quotas(counts_K: Indices, count: int) -> tuple[Indices, int]:
    """Return the number of same-class pairs of each class, and the number of pairs of different classes.

    Half of all pairs, rounded down, are same-class pairs, in proportion to the images of each class
    (largest-remainder rounding).
    """
    num_same = count // 2
    shares_K = num_same * counts_K / counts_K.sum()
    quotas_K: Indices = np.floor(shares_K).astype(np.int64)
    quotas_K[np.argsort(quotas_K - shares_K, kind="stable")[: num_same - int(quotas_K.sum())]] += 1
    return quotas_K, count - num_same


def _half_same_class_pairs(labels: Indices, count: int, generator: np.random.Generator) -> Indices:
    """Draw pairs [2, P] in random order, half of the same class, the others of different classes."""
    quotas_K, num_different = _same_class_quotas(np.bincount(labels), count)
    shuffled = generator.permutation(labels.size)
    members = [shuffled[labels[shuffled] == label] for label in range(quotas_K.size)]
    same = [of_class[: 2 * quota].reshape(2, -1) for of_class, quota in zip(members, quotas_K, strict=True)]
    left = [of_class[2 * quota :][:num_different] for of_class, quota in zip(members, quotas_K, strict=True)]
    kept = generator.permutation(np.concatenate(left))[: 2 * num_different]
    # Sorted by class, and no class has more than half of the images: so images half a row apart differ in class.
    different = kept[np.argsort(labels[kept], kind="stable")].reshape(2, num_different)
    pairs_2P = np.concatenate([*same, _swap_partners(different, labels, generator)], axis=1)
    return pairs_2P[:, generator.permutation(count)]


def _swap_partners(pairs_2P: Indices, labels: Indices, generator: np.random.Generator) -> Indices:
    """Swap images between random pairs, if both pairs keep different classes."""
    half = pairs_2P.shape[1] // 2
    for _ in range(_NUM_SWAP_ROUNDS):
        pairs_2P = np.where(generator.random(pairs_2P.shape[1]) < 0.5, pairs_2P, pairs_2P[::-1])
        order = generator.permutation(pairs_2P.shape[1])
        ones, others = order[:half], order[half : 2 * half]
        labels_2P = labels[pairs_2P]
        is_valid = (labels_2P[0, ones] != labels_2P[1, others]) & (labels_2P[0, others] != labels_2P[1, ones])
        ones, others = ones[is_valid], others[is_valid]
        pairs_2P[1, ones], pairs_2P[1, others] = pairs_2P[1, others], pairs_2P[1, ones]
    return pairs_2P


def _label_faults(pairs: Split, spec: DataSpec) -> list[str]:
    assert spec.pairs is not None
    counts = zip(spec.pairs.classes, pairs.class_counts(2), strict=True)
    return [f"no pair of {len(pairs):,} is {answer!r}; give more images" for answer, count in counts if count == 0]
