"""Gene domains, categorical or a numeric range, and sampling from them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from nas.space.gene_definitions import Gene, Scalar


class Suggester(Protocol):
    """Sampling interface for named parameters, implemented by `optuna.Trial`."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...


class RandomSuggester:
    """Independent uniform sampling, for sample genomes and tests without a study."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._random.choice(choices)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        if log:
            return min(high, round(math.exp(self._random.uniform(math.log(low), math.log(high)))))
        return self._random.randrange(low, high + 1, step)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if log:
            return min(high, math.exp(self._random.uniform(math.log(low), math.log(high))))
        if step is not None:
            return min(high, low + step * self._random.randrange(int((high - low) / step + 1e-9) + 1))
        return self._random.uniform(low, high)


@dataclass(frozen=True)
class Choices:
    """Categorical domain; a single value is fixed and is not a parameter of the study."""

    values: tuple[Scalar, ...]

    def suggest(self, name: str, suggester: Suggester) -> Scalar:
        if len(self.values) == 1:
            return self.values[0]
        value: Scalar = suggester.suggest_categorical(name, self.values)
        return value

    @property
    def size(self) -> int | None:
        """Number of values."""
        return len(self.values)

    @property
    def is_fixed(self) -> bool:
        """True if there is one value, which is not a parameter of the study."""
        return len(self.values) == 1

    def contains(self, value: Scalar) -> bool:
        """Return True for one of the values, in the gene's type and canonical form (`Gene.convert`)."""
        return any(type(one) is type(value) and one == value for one in self.values)

    def describe(self) -> str:
        """Text form for messages."""
        return ", ".join(describe_value(value) for value in self.values)

    def quantile(self, share: float) -> Scalar:
        """Return the value of a numeric gene below which a share of the values is; the lower of two."""
        ordered = sorted(self.values, key=float)
        return ordered[_round_half_down(share * (len(ordered) - 1))]

    def nearest(self, target: float) -> Scalar:
        """Return the value of a numeric gene that is nearest to a number; the lower of two."""
        return min(sorted(self.values, key=float), key=lambda value: abs(float(value) - target))

    @property
    def highest(self) -> float:
        """Largest value of a numeric gene."""
        return max(float(value) for value in self.values)

    def integer_values(self) -> tuple[int, ...]:
        """The values of a gene that counts something."""
        return tuple(int(value) for value in self.values)


@dataclass(frozen=True)
class Range:
    """Numeric domain between two included bounds, on a logarithmic scale if `log`."""

    low: float
    high: float
    step: float | None
    log: bool
    integer: bool

    def suggest(self, name: str, suggester: Suggester) -> Scalar:
        if self.low == self.high:
            return self.low
        if self.integer:
            return suggester.suggest_int(name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return suggester.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    @property
    def size(self) -> int | None:
        """Number of values; None for a continuous range."""
        if self.low == self.high:
            return 1
        if not self.integer and self.step is None:
            return None
        return int((self.high - self.low) / (self.step or 1) + 1e-9) + 1

    @property
    def is_fixed(self) -> bool:
        """True if there is one value, which is not a parameter of the study."""
        return self.low == self.high

    def contains(self, value: Scalar) -> bool:
        """Return True for a value between the bounds and on the grid of the steps."""
        if isinstance(value, (bool, str)) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / (self.step or 1)
        return abs(steps - round(steps)) < 1e-8 if self.integer or self.step is not None else True

    def describe(self) -> str:
        """Text form for messages."""
        if self.is_fixed:
            return describe_value(self.low)
        steps = "" if self.step in (None, 1) else f" in steps of {self.step}"
        return f"{self.low} to {self.high}{steps}"

    def quantile(self, share: float) -> Scalar:
        """Return the value below which a share of the range is, on the range's scale; the lower of two."""
        if self.log:
            return self.nearest(self.low * (self.high / self.low) ** share)
        return self.nearest(self.low + share * (self.high - self.low))

    def nearest(self, target: float) -> Scalar:
        """Return the value that is nearest to a number; the lower of two."""
        inside = min(max(target, self.low), self.high)
        step = self.step or (1 if self.integer else None)
        if step is not None:
            inside = min(self.high, self.low + step * _round_half_down((inside - self.low) / step))
        return int(inside) if self.integer else float(inside)

    @property
    def highest(self) -> float:
        """Upper end of the range."""
        return self.high

    def integer_values(self) -> tuple[int, ...]:
        """The values of a gene that counts something."""
        return tuple(range(int(self.low), int(self.high) + 1, int(self.step or 1)))


Domain = Choices | Range


def describe_value(value: Scalar) -> str:
    """Text form of a gene's value for messages, as in TOML."""
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _round_half_down(number: float) -> int:
    return math.ceil(number - 0.5)


def parse_domain(gene: Gene, value: Any) -> Domain | list[str]:
    """Parse a TOML value into a domain; return the list of faults if it is invalid."""
    if isinstance(value, dict):
        faults = _range_faults(gene, value)
        if faults:
            return faults
        low, high, step = value["low"], value["high"], value.get("step")
        if step is not None:
            # Lowered to the last value on the step grid, since optuna otherwise warns.
            high = min(high, low + step * int((high - low) / step + 1e-9))
        return Range(low, high, step, value.get("log", False), gene.kind is int)
    values = value if isinstance(value, list) else [value]
    faults = [fault for item in values for fault in gene.faults(item)] if values else ["no choices"]
    if not faults and len(set(values)) != len(values):
        faults = ["a choice is given twice"]
    return faults or Choices(tuple(gene.convert(item) for item in values))


def _range_faults(gene: Gene, table: dict[str, Any]) -> list[str]:
    """List the faults of a `{low, high, step, log}` table for this gene."""
    if gene.kind not in (int, float):
        return [f"a range does not fit a gene of {gene.describe()}; give a list of choices"]
    faults = [f"unknown key {key!r} of a range; known: low, high, step, log" for key in table.keys() - _RANGE_KEYS]
    faults += [f"a range needs {key!r}" for key in ("low", "high") if key not in table]
    faults += [f"{key}: {fault}" for key in ("low", "high") if key in table for fault in gene.faults(table[key])]
    if faults:
        return faults
    low, high, step, log = table["low"], table["high"], table.get("step"), table.get("log", False)
    if low > high:
        faults.append(f"low {low} is above high {high}")
    if not isinstance(log, bool):
        faults.append(f"log must be true or false, not {log!r}")
    elif log and low <= 0:
        faults.append(f"a logarithmic range needs low above 0, not {low}")
    if step is not None and (
        isinstance(step, bool) or not isinstance(step, (int, gene.kind)) or not 0 < step < math.inf
    ):
        faults.append(f"step must be a positive {gene.kind.__name__}, not {step!r}")
    elif step is not None and log:
        faults.append("step and log cannot be combined")
    if not faults and gene.kind is int and low + (step or 1) <= high:
        # `comparison_width` accepts 0 but not 1 to 3, so the second value of the range is checked as well.
        faults = [f"{fault}; give a list" for fault in gene.faults(low + (step or 1))]
    return faults


_RANGE_KEYS = {"low", "high", "step", "log"}
