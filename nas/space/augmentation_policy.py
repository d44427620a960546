"""Augmentation policies: what may happen to a training image, as one line of text. Nothing here imports torch.

A policy is operations with commas between, each a name and, where it has one, a magnitude: "shift 2, rotate 10, flip".
"none" changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NO_AUGMENTATION = "none"


@dataclass(frozen=True)
class Kind:
    """What an operation's magnitude may be.

    Attributes:
        unit: In words; None for an operation without a magnitude.
        default: Where a policy names the operation alone.
        low: Smallest magnitude; excluded where it is 0.
        high: Largest magnitude.
        whole: Whether it is a whole number.
    """

    unit: str | None = None
    default: float = 1.0
    low: float = 0.0
    high: float = 1.0
    whole: bool = False


KINDS: Mapping[str, Kind] = {
    "shift": Kind("pixels", default=1, low=1, high=16, whole=True),
    "flip": Kind(),
    "rotate": Kind("degrees", default=10, high=180),
    "shear": Kind("degrees", default=10, high=45),
    "elastic": Kind("pixels of standard deviation", default=1, high=10),
    "cutout": Kind("share of the side", default=0.25, high=1),
    "mixup": Kind("alpha", default=0.2, high=10),
    "cutmix": Kind("alpha", default=1, high=10),
}
"""Every operation, in the order in which they are applied."""

_MIXING = ("mixup", "cutmix")


@dataclass(frozen=True)
class Operation:
    """One operation of a policy; its magnitude is 1 where it has none."""

    name: str
    magnitude: float

    def __str__(self) -> str:
        return self.name if KINDS[self.name].unit is None else f"{self.name} {self.magnitude:g}"


def parse_policy(text: str) -> tuple[Operation, ...]:
    """The operations of a policy, in the order in which they are applied; none for "none".

    Raises:
        ValueError: The text is no policy.
    """
    if text.strip() == NO_AUGMENTATION:
        return ()
    operations = [_parse_operation(part.split()) for part in text.split(",")]
    names = [operation.name for operation in operations]
    if len(set(names)) != len(names):
        raise ValueError(f"an operation is given twice in {text!r}")
    if all(name in names for name in _MIXING):
        raise ValueError(f"mixup and cutmix both in {text!r}; an image is mixed with one other")
    return tuple(sorted(operations, key=lambda operation: list(KINDS).index(operation.name)))


def canonical_policy(text: str) -> str:
    """The one spelling of a policy: equal policies have equal text.

    Raises:
        ValueError: The text is no policy.
    """
    return ", ".join(str(operation) for operation in parse_policy(text)) or NO_AUGMENTATION


def mixes_labels(policy: str) -> bool:
    """Whether images get a share of another image's label."""
    return any(operation.name in _MIXING for operation in parse_policy(policy))


def flips(policy: str) -> bool:
    """Whether images may be mirrored."""
    return any(operation.name == "flip" for operation in parse_policy(policy))


def _parse_operation(words: list[str]) -> Operation:
    name = words[0] if words else ""
    if name not in KINDS:
        raise ValueError(f"unknown operation {name!r}; known: {NO_AUGMENTATION} alone, or {', '.join(KINDS)}")
    kind = KINDS[name]
    if len(words) > (1 if kind.unit is None else 2):
        takes = "no magnitude" if kind.unit is None else "one magnitude"
        raise ValueError(f"{name} takes {takes}; operations are separated by commas (given: {' '.join(words)!r})")
    try:
        magnitude = float(words[1]) if len(words) == 2 else float(kind.default)
    except ValueError:
        raise ValueError(f"the magnitude of {name} must be a number, not {words[1]!r}") from None
    low_excluded = kind.low == 0.0
    inside = kind.low < magnitude <= kind.high if low_excluded else kind.low <= magnitude <= kind.high
    if not inside or (kind.whole and magnitude != int(magnitude)):
        number = "a whole number" if kind.whole else "a number"
        bounds = f"above 0 and at most {kind.high:g}" if low_excluded else f"from {kind.low:g} to {kind.high:g}"
        raise ValueError(f"the magnitude of {name} ({kind.unit}) must be {number} {bounds}, not {words[1]}")
    # What the text says is what is done: six digits, and no more.
    return Operation(name, float(f"{magnitude:g}"))
