"""Hold-out of whole groups of images, such as all images of a patient.

Array dimensions: N images, G groups, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.data.splits.class_sampling import Indices
from nas.errors import DataError, shortened_list

_NUM_DRAWS = 64


def hold_out_groups(
    labels: Indices, groups: Indices, fraction: float, generator: np.random.Generator, classes: Sequence[str]
) -> tuple[Indices, Indices]:
    """Split indices in two so that each group is in one part, and each class in both.

    Of random orders of the groups, each filled until it has the share of all images, the one is taken whose share of
    each class is nearest to the fraction, in the mean of squares.

    Args:
        labels: int64 [N].
        groups: int64 [N].
        fraction: Share held out, in (0, 1).
        classes: Names for the error message, [K].

    Returns:
        The indices kept and held out, each in ascending order.

    Raises:
        DataError: No draw has every class in both parts.
    """
    _, groups = np.unique(groups, return_inverse=True)
    num_groups = int(groups.max()) + 1
    counts_GK = np.zeros((num_groups, len(classes)), np.int64)
    np.add.at(counts_GK, (groups, labels), 1)
    totals_K = counts_GK.sum(axis=0)
    present = totals_K > 0
    best, least = None, np.inf
    for _ in range(_NUM_DRAWS):
        chosen = _draw(counts_GK, fraction, generator)
        held_K = counts_GK[chosen].sum(axis=0)[present]
        if (held_K == 0).any() or (held_K == totals_K[present]).any():
            continue
        error = float(np.square(held_K / totals_K[present] - fraction).mean())
        if error < least:
            best, least = chosen, error
    if best is None:
        spread = (counts_GK > 0).sum(axis=0)
        few = [f"{classes[label]!r} ({spread[label]})" for label in np.argsort(spread) if present[label]]
        raise DataError(
            f"group_by: no division of the {num_groups} groups has every class in both parts; classes by number of "
            f"groups: {shortened_list(few)}; give each class images of at least 3 groups"
        )
    is_held_out = np.isin(groups, best)
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)


def _draw(counts_GK: Indices, fraction: float, generator: np.random.Generator) -> Indices:
    """Choose groups at random: first one for each class that has none, rarest first, then up to the share of all."""
    order = generator.permutation(len(counts_GK))
    chosen: list[int] = []
    held_K = np.zeros(counts_GK.shape[1], np.int64)
    totals_K = counts_GK.sum(axis=0)
    for label in np.argsort((counts_GK > 0).sum(axis=0), kind="stable"):
        if totals_K[label] and not held_K[label]:
            group = next(group for group in order if counts_GK[group, label])
            chosen.append(int(group))
            held_K += counts_GK[group]
    for group in order:
        size = int(counts_GK[group].sum())
        if group not in chosen and held_K.sum() + size / 2 <= fraction * totals_K.sum():
            chosen.append(int(group))
            held_K += counts_GK[group]
    return np.array(chosen, np.int64)
