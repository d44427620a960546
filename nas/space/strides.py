"""Strides of stem and stages, and the sizes of the feature maps that they leave."""

from __future__ import annotations

from collections.abc import Iterable

MIN_MAP_SIDE = 4
"""Smallest side of the last feature maps, in pixels, that chosen strides may leave."""


def standard_strides(num_stages: int) -> tuple[int, ...]:
    """Return the strides of stages without chosen ones: 1 in the first stage and 2 in the others."""
    return (1, *(2 for _ in range(1, num_stages)))


def map_sizes_after(strides: Iterable[int], size: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Rows and columns after each stride, rounded up.

    Args:
        size: Rows and columns of the images.
    """
    sizes = []
    for stride in strides:
        size = -(-size[0] // stride), -(-size[1] // stride)
        sizes.append(size)
    return tuple(sizes)


def min_map_side(size: tuple[int, int]) -> int:
    """Smallest side that chosen strides may leave: `MIN_MAP_SIDE`, or half of a side of less than 7 pixels.

    A single stride of 2 is therefore possible for images of any size.

    Args:
        size: Rows and columns of the images.
    """
    return min(MIN_MAP_SIDE, -(-min(size) // 2))


def feasible_strides(
    stem_stride: int, strides: tuple[int, ...], size: tuple[int, int] | None
) -> tuple[int, tuple[int, ...]]:
    """Return strides of stem and stages that a network may have: at least one is 2, and no map is too small.

    Strides that would leave less than `min_map_side` become 1, later ones first; if all are 1, the last stage's becomes
    2.

    Args:
        size: Rows and columns of the images; None for any.
    """
    feasible = [stem_stride, *strides]
    if size is not None:
        for place in range(len(feasible)):
            if min(map_sizes_after(feasible[: place + 1], size)[-1]) < min_map_side(size):
                feasible[place] = 1
    if max(feasible) == 1:
        feasible[-1] = 2
    return feasible[0], tuple(feasible[1:])
