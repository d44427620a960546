"""Strides of a start genome: checked against the search space and the size of the images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nas.space.gene_definitions import ARCHITECTURE_GENES
from nas.space.search_space import SearchSpace
from nas.space.start_parameters import ParameterCollector
from nas.space.strides import MIN_MAP_SIDE, feasible_strides


def collect_strides(
    collector: ParameterCollector,
    space: SearchSpace,
    families: Sequence[str],
    strides: Sequence[Any],
    stem_stride: Any,
    where: str,
    size: tuple[int, int] | None,
) -> None:
    """Collect the strides of the stages.

    Drawn strides that leave too small maps become others (`feasible_strides`). A start genome may have those, but its
    own must not change.

    Args:
        families: Families that the network may have.
        stem_stride: The start genome's stride of the stem; None if it is left open.
        where: Key of the strides, for messages.
        size: Rows and columns of the images; None for any.
    """
    searching = [family for family in families if space.searches("stride", family)]
    default = [1, *(2 for _ in strides[1:])]
    if len(searching) < len(families) and list(strides) != default:
        remedy = "; give family as well" if searching else ""
        collector.faults.append(f"{where}: {_text(strides)}, but the search space has {_text(default)}{remedy}")
        return
    if not searching:
        return
    section = space.architecture
    stems = _stem_strides(space, searching) if stem_stride is None else [stem_stride]
    invalid = [stride for stride in strides if ARCHITECTURE_GENES["stride"].faults(stride)]
    if invalid or ARCHITECTURE_GENES["stem_stride"].faults(stems[0]):
        collector.place_all(section, "stride", strides, where, searching)
        return
    given = tuple(strides)
    drawn = tuple(
        _drawn(space, searching, stride, is_last=stage == len(given)) for stage, stride in enumerate(given, start=1)
    )
    changed = [stem for stem in stems if feasible_strides(stem, drawn, size) != (stem, given)]
    if not changed or (size is None and drawn != given):
        collector.place_all(section, "stride", drawn, where, searching)
    elif drawn != given:
        # The values are not in the space, and these images are large enough for those that are.
        collector.place_all(section, "stride", given, where, searching)
    else:
        remedy = "; give stem_stride as well" if len(changed) < len(stems) else ""
        collector.faults.append(f"{where}: {_text(given)} with stem_stride {changed[0]} {_reason(given, size)}{remedy}")


def _drawn(space: SearchSpace, families: Sequence[str], stride: int, *, is_last: bool) -> int:
    """Return the value of the space that becomes a stride: itself, or one that small images change to it."""
    domains = [space.architecture.domain("stride", (family,))[1] for family in families]
    other = 3 - stride
    is_changed = not any(domain.contains(stride) for domain in domains) and (stride == 1 or is_last)
    return other if is_changed and all(domain.contains(other) for domain in domains) else stride


def _stem_strides(space: SearchSpace, families: Sequence[str]) -> list[int]:
    domains = [space.architecture.domain("stem_stride", (family,))[1] for family in families]
    return sorted({stride for domain in domains for stride in domain.integer_values()})


def _reason(strides: tuple[int, ...], size: tuple[int, int] | None) -> str:
    if size is None or max(strides) == 1:
        return "do not shrink the images; at least one stride of stem and stages is 2"
    return f"leave maps of less than {MIN_MAP_SIDE}×{MIN_MAP_SIDE} pixels of images of {size[0]}×{size[1]}"


def _text(strides: Sequence[Any]) -> str:
    return ", ".join(str(stride) for stride in strides)
