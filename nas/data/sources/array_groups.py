"""Groups of images from arrays, such as the number or name of each image's patient."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from nas.data.sources.array_files import Array, Arrays
from nas.data.sources.labelled_files import SplitName
from nas.results.printable_text import printable


@dataclass
class ConvertedGroups:
    """Group of each image by split, None without one; printable names of the images without; faults."""

    names: dict[str, list[str | None]] = field(default_factory=dict)
    without: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def convert_groups(read: Arrays, group_by: str) -> ConvertedGroups:
    """Convert the arrays of groups to names; a split without such an array has no groups.

    Args:
        group_by: Name of the arrays for error messages.
    """
    converted = ConvertedGroups()
    if not any(kind == "groups" for _, kind in read.names):
        converted.faults.append(f"group_by: no array {printable(group_by)!r} of groups; the file has {read.contents}")
        return converted
    for split, kind in [*read.names]:
        if kind == "groups" and (split, "labels") not in read.names:
            name = read.names[split, kind]
            converted.faults.append(f"group_by: {name} has groups of {split} images, which the file lacks")
        labels = read.arrays.get((split, "labels")) if kind == "labels" else None
        if labels is None or not labels.ndim:
            continue
        array = read.arrays.get((split, "groups"))
        nothing: list[str | None] = [None] * len(labels)
        names = nothing if array is None else _names(read, split, array, len(labels), converted)
        converted.names[split] = names
        converted.without += [f"{split} {place}" for place, name in enumerate(names) if name is None]
    return converted


def _names(read: Arrays, split: SplitName, array: Array, length: int, converted: ConvertedGroups) -> list[str | None]:
    name, labels = read.names[split, "groups"], read.names[split, "labels"]
    flat = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if flat.ndim != 1 or flat.dtype.kind not in "biufUS":
        converted.faults.append(
            f"group_by: {name} is of type {array.dtype} and shape {list(array.shape)}; give one number or text an "
            "image, [N]"
        )
        return [None] * length
    if len(flat) != length:
        converted.faults.append(f"group_by: {name} has {len(flat):,} groups, {labels} has {length:,} labels")
    return [_text(value) for value in flat.tolist()]


def _text(value: object) -> str | None:
    """Return the name of a group, equal for 1, 1.0 and "1"; None for empty text and what is no number."""
    match value:
        case float():
            return f"{value:.0f}" if value.is_integer() else str(value) if math.isfinite(value) else None
        case bytes():
            return value.decode(errors="surrogateescape") or None
        case _:
            return str(value) or None
