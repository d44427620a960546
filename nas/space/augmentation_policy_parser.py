"""Augmentation policies in text form. This module does not import torch.

A policy is a comma-separated list of operations, each a name and, if the operation has one, a magnitude:
"shift 2, rotate 10, flip". "flip alternating" is a name as well. "none" leaves images unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NO_AUGMENTATION = "none"
ALTERNATING_FLIP = "flip alternating"


@dataclass(frozen=True)
class OperationType:
    """Unit, default and bounds of an operation's magnitude.

    Attributes:
        unit: Unit of the magnitude; None for an operation without a magnitude.
        default: Magnitude if a policy gives only the operation's name.
        low: Smallest magnitude; excluded if it is 0.
        high: Largest magnitude.
        integer: True if the magnitude is an integer.
    """

    unit: str | None = None
    default: float = 1.0
    low: float = 0.0
    high: float = 1.0
    integer: bool = False


OPERATIONS: Mapping[str, OperationType] = {
    "shift": OperationType("pixels", default=1, low=1, high=16, integer=True),
    "flip": OperationType(),
    ALTERNATING_FLIP: OperationType(),
    "rotate": OperationType("degrees", default=10, high=180),
    "shear": OperationType("degrees", default=10, high=45),
    "elastic": OperationType("pixels of standard deviation", default=1, high=10),
    "cutout": OperationType("share of the side", default=0.25, high=1),
    "mixup": OperationType("alpha", default=0.2, high=10),
    "cutmix": OperationType("alpha", default=1, high=10),
}
"""All operations in the order of application."""

_MIXING = ("mixup", "cutmix")


@dataclass(frozen=True)
class Operation:
    """One operation of a policy; `magnitude` is 1 for an operation without one."""

    name: str
    magnitude: float

    def __str__(self) -> str:
        return self.name if OPERATIONS[self.name].unit is None else f"{self.name} {self.magnitude:g}"


def parse_policy(text: str) -> tuple[Operation, ...]:
    """Parse a policy into its operations in the order of application; empty for "none".

    Raises:
        ValueError: The text is not a valid policy.
    """
    if text.strip() == NO_AUGMENTATION:
        return ()
    operations = [_parse_operation(part.split()) for part in text.split(",")]
    names = [operation.name for operation in operations]
    if len({name.split()[0] for name in names}) != len(names):
        raise ValueError(f"an operation is given twice in {text!r}")
    if all(name in names for name in _MIXING):
        raise ValueError(f"mixup and cutmix both in {text!r}; an image is mixed with one other")
    return tuple(sorted(operations, key=lambda operation: list(OPERATIONS).index(operation.name)))


def canonical_policy(text: str) -> str:
    """Canonical text of a policy; equal policies have equal text.

    Raises:
        ValueError: The text is not a valid policy.
    """
    return ", ".join(str(operation) for operation in parse_policy(text)) or NO_AUGMENTATION


def mixes_labels(policy: str) -> bool:
    """Return True if the policy blends the labels of two images."""
    return any(operation.name in _MIXING for operation in parse_policy(policy))


def flips(policy: str) -> bool:
    """Return True if the policy mirrors images."""
    return any(operation.name in ("flip", ALTERNATING_FLIP) for operation in parse_policy(policy))


def flips_alternately(policy: str) -> bool:
    """Return True if the policy mirrors each image in every other epoch."""
    return any(operation.name == ALTERNATING_FLIP for operation in parse_policy(policy))


def _parse_operation(words: list[str]) -> Operation:
    if words == ALTERNATING_FLIP.split():
        return Operation(ALTERNATING_FLIP, OPERATIONS[ALTERNATING_FLIP].default)
    name = words[0] if words else ""
    if name not in OPERATIONS:
        raise ValueError(f"unknown operation {name!r}; known: {NO_AUGMENTATION} alone, or {', '.join(OPERATIONS)}")
    operation = OPERATIONS[name]
    if len(words) > (1 if operation.unit is None else 2):
        arity = "no magnitude" if operation.unit is None else "one magnitude"
        raise ValueError(f"{name} takes {arity}; operations are separated by commas (given: {' '.join(words)!r})")
    try:
        magnitude = float(words[1]) if len(words) == 2 else float(operation.default)
    except ValueError:
        raise ValueError(f"the magnitude of {name} must be a number, not {words[1]!r}") from None
    low, high = operation.low, operation.high
    low_excluded = low == 0.0
    in_range = low < magnitude <= high if low_excluded else low <= magnitude <= high
    if not in_range or (operation.integer and magnitude != int(magnitude)):
        number = "a whole number" if operation.integer else "a number"
        bounds = f"above 0 and at most {high:g}" if low_excluded else f"from {low:g} to {high:g}"
        raise ValueError(f"the magnitude of {name} ({operation.unit}) must be {number} {bounds}, not {words[1]}")
    # Rounded to six digits, so that the applied magnitude equals the one in the canonical text.
    return Operation(name, float(f"{magnitude:g}"))
