"""Costs and metrics of users: what plugin modules add to the registries of costs and scores.

Like losses and block families (`nas.space.plugin_parts`), they are declared in every process that reads the study and
loaded where they are computed: costs where networks are measured, metrics where networks are scored.

Dimensions: K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import Field

from nas.errors import ArchitectureError, StudyError
from nas.space.immutable_model import FrozenModel
from nas.study.budget_spec import BudgetSpec
from nas.study.cost_definitions import LIMIT_PREFIX, CostDefinition, cost_names, register_cost
from nas.study.score_definitions import Confusion, ScoreDefinition, register_score, score_names

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

# Not strict, because JSON gives a list.
Adjectives = Annotated[tuple[str, str, str], Field(strict=False)]
_CHEAP: Adjectives = ("cheapest", "cheaper", "cheap")


class CostWords(FrozenModel):
    """Unit and adjectives of a user's cost.

    Attributes:
        unit: Unit, as written after a value.
        adjectives: Of a network with the lowest cost, with a lower one, and with a low one.
        is_whole: True for a cost that is a whole number.
    """

    unit: str
    adjectives: Adjectives = _CHEAP
    is_whole: bool = False


LOADED_COSTS: dict[str, tuple[Callable[..., Any], CostWords]] = {}
"""Functions of the costs that this process has loaded."""

LOADED_METRICS: dict[str, Callable[..., Any]] = {}
"""Functions of the metrics that this process has loaded."""


@dataclass(frozen=True)
class _Measurement:
    """Measurement of a user's cost; equal for equal names, so that a declaration can be repeated."""

    name: str

    def __call__(self, network: Any) -> float:
        if self.name not in LOADED_COSTS:
            raise StudyError(f"cost {self.name!r} is a plugin's that this process has not loaded")
        try:
            value = LOADED_COSTS[self.name][0](network)
        except ArchitectureError:
            raise
        except Exception as error:  # the boundary to code of the user
            raise ArchitectureError(f"cost {self.name!r}: {describe(error)}") from error
        fault = cost_fault(value)
        if fault is not None:
            raise ArchitectureError(f"cost {self.name!r}: {fault}")
        return float(value)


@dataclass(frozen=True)
class _Score:
    """Score by a user's metric; equal for equal names."""

    name: str

    def __call__(self, confusion_KK: Confusion, classes: Sequence[str]) -> float:
        if self.name not in LOADED_METRICS:
            raise StudyError(f"metric {self.name!r} is a plugin's that this process has not loaded")
        try:
            value = LOADED_METRICS[self.name](confusion_KK.copy())
        except Exception as error:  # the boundary to code of the user
            raise StudyError(f"metric {self.name!r}: {describe(error)}") from error
        fault = metric_fault(value)
        if fault is not None:
            raise StudyError(f"metric {self.name!r}: {fault}")
        return min(max(float(value), 0.0), 1.0)


def cost(
    name: str, *, unit: str, adjectives: tuple[str, str, str] = _CHEAP, is_whole: bool = False
) -> Callable[[FunctionT], FunctionT]:
    """Register a cost: a `nas.export.costs.measured_network.MeasuredNetwork` to a positive number, lower is better.

    Args:
        name: Name in `objectives`; `max_NAME` limits it in `[budget]`.
        unit: Unit, as written after a value.
        adjectives: Of a network with the lowest cost, with a lower one, and with a low one.
        is_whole: True for a cost that is a whole number.
    """

    def register(function: FunctionT) -> FunctionT:
        words = CostWords(unit=unit, adjectives=adjectives, is_whole=is_whole)
        declare_cost(name, words)
        LOADED_COSTS[name] = function, words
        return function

    return register


def metric(name: str) -> Callable[[FunctionT], FunctionT]:
    """Register a score: a confusion matrix [K, K], whose rows are the true classes, to a number in [0, 1].

    Higher is better. The matrix is float64; the finals differentiate the score by its cells, so it need not be whole.

    Args:
        name: Name in `objectives`.
    """

    def register(function: FunctionT) -> FunctionT:
        declare_metric(name)
        LOADED_METRICS[name] = function
        return function

    return register


def declare_cost(name: str, words: CostWords) -> None:
    """Make a cost known to study files and tables.

    Raises:
        ValueError: Another cost or a key of `[budget]` has the name.
    """
    _require_name(name)
    if (name in cost_names() and name not in _DECLARED_COSTS) or f"{LIMIT_PREFIX}{name}" in BudgetSpec.model_fields:
        raise ValueError(f"cost {name!r}: another cost has this name; give it another one")
    if _DECLARED_COSTS.setdefault(name, words) != words:
        raise ValueError(f"cost {name!r}: this process knows one with another unit; give it another name")
    title, (superlative, comparative, quality) = name.replace("_", " "), words.adjectives
    register_cost(
        CostDefinition(
            name, f"{title} in {words.unit}", f"{title}, {words.unit}", words.unit, _Measurement(name), superlative,
            comparative, quality, is_whole=words.is_whole,
        )
    )  # fmt: skip


def declare_metric(name: str) -> None:
    """Make a score known to study files and tables.

    Raises:
        ValueError: Another score has the name.
    """
    _require_name(name)
    if name in score_names() and name not in _DECLARED_METRICS:
        raise ValueError(f"metric {name!r}: another score has this name; give it another one")
    _DECLARED_METRICS.add(name)
    register_score(ScoreDefinition(name, name.replace("_", " "), _Score(name)))


def is_plugin_metric(name: str) -> bool:
    """Return True for the declared metric of a plugin."""
    return name in _DECLARED_METRICS


def declare_objectives(costs: Mapping[str, CostWords], metrics: Sequence[str]) -> None:
    """Declare the costs and the metrics of a module; raises as `declare_cost` and `declare_metric` do."""
    for name, words in costs.items():
        declare_cost(name, words)
    for name in metrics:
        declare_metric(name)


def cost_fault(value: Any) -> str | None:
    """Return why a value is not that of a cost."""
    if not _is_number(value):
        return f"returns {type(value).__name__}, not a number"
    return None if 0 < float(value) < math.inf else f"returns {float(value):g}; give a finite number above 0"


def metric_fault(value: Any) -> str | None:
    """Return why a value is not that of a metric."""
    if not _is_number(value):
        return f"returns {type(value).__name__}, not a number"
    # A sum of quotients may be above 1 by its rounding.
    return None if -1e-9 <= float(value) <= 1 + 1e-9 else f"returns {float(value):g}; give a number from 0 to 1"


def describe(error: BaseException) -> str:
    """Describe an error of the user's code in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


_DECLARED_COSTS: dict[str, CostWords] = {}
_DECLARED_METRICS: set[str] = set()


def _require_name(name: str) -> None:
    if not name.isidentifier():
        raise ValueError(f"{name!r}: not a name; give letters, digits and _ alone")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
