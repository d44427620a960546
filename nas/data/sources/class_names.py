"""Order of class names, and names that are or look like one."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence


def natural_key(name: str) -> tuple[object, ...]:
    """Sort key by which `2` comes before `10`, `img2` before `img10`, and numbers, -0.5 among them, before text."""
    if re.fullmatch(r"-?\d+(\.\d+)?", name, re.ASCII):
        return ((0, float(name), ""),), name
    pieces = re.split(r"(\d+)", name)
    return tuple((0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces if piece), name


def name_readings(spellings: Mapping[str, set[str]], classes: Sequence[str]) -> list[str]:
    """List sentences on names that are one class, and on classes whose names look like one.

    Args:
        spellings: Names of the folders of each class.
        classes: Names of the classes with training images.
    """
    readings = []
    for label, names in spellings.items():
        if len(names) > 1:
            readings.append(f"{len(names)} spellings in Unicode of {label!r} are one class")
    alike: dict[str, list[str]] = defaultdict(list)
    for label in classes:
        alike[_looks_of(label)].append(label)
    for labels in alike.values():
        if len(labels) > 1:
            number = "two" if len(labels) == 2 else str(len(labels))
            shown = " and ".join(map(repr, labels))
            readings.append(f"{shown} are {number} classes; rename them if they are one")
    return readings


def _looks_of(label: str) -> str:
    """Return a name without case, outer spaces and characters that take no room."""
    text = unicodedata.normalize("NFKC", label).casefold()
    return "".join(character for character in text if unicodedata.category(character) != "Cf").strip()
