"""Costs of a network that a search may minimise or limit: names, units and measurements, in one registry.

A cost is a positive number that is smaller the better, and is compared by its logarithm. Parameters and FLOPs are
counted for every trial; the others are measured where a study names them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nas.space.spelling import did_you_mean

Measurement = Callable[[Any], float]
"""Measures a `nas.export.costs.measured_network.MeasuredNetwork`."""

PARAMS, FLOPS = "params", "flops"
SIZE_BYTES, PEAK_MEMORY_BYTES, LATENCY_MS = "size_bytes", "peak_memory_bytes", "latency_ms"


@dataclass(frozen=True)
class CostDefinition:
    """Definition of a cost.

    Attributes:
        name: Name in `objectives`; `max_NAME` is its key in `[budget]`.
        title: Title of its axis.
        column: Title of a column of values.
        unit: Unit, as written after a value.
        measure: Measurement, or its place as `module:function`, which is imported in the process that measures; it
            raises ArchitectureError for a network that cannot be measured.
        superlative: Adjective of a network with the lowest cost.
        comparative: Adjective of a network with a lower cost.
        quality: Adjective of a network with a low cost.
        is_whole: True for a cost that is a whole number.
        is_counted: True for a cost of every trial, which is part of `nas.results.network_cost.Cost`.
    """

    name: str
    title: str
    column: str
    unit: str
    measure: Measurement | str
    superlative: str = "smallest"
    comparative: str = "smaller"
    quality: str = "small"
    is_whole: bool = True
    is_counted: bool = False

    def number(self, value: float) -> str:
        """Format a value without its unit."""
        return f"{round(value):,}" if self.is_whole or value >= 9999.5 else f"{value:.4g}"

    def text(self, value: float | None) -> str:
        """Format a value with its unit."""
        return f"unknown {self.title}" if value is None else f"{self.number(value)} {self.unit}"

    @property
    def hover(self) -> str:
        """Plotly's template of a value on the horizontal axis, with its unit."""
        return f"%{{x:{',d' if self.is_whole else '.4~g'}}} {self.unit}"

    @property
    def no_costlier(self) -> str:
        """Adjectives of a network whose cost is no higher."""
        return "no larger" if self.comparative == "smaller" else f"equally {self.quality} or {self.comparative}"

    @property
    def limit_key(self) -> str:
        """Key of its limit in `[budget]`."""
        return f"{LIMIT_PREFIX}{self.name}"

    def measurement(self) -> Measurement:
        """Return the function that measures it, imported if necessary."""
        if not isinstance(self.measure, str):
            return self.measure
        module, _, function = self.measure.partition(":")
        measurement: Measurement = getattr(importlib.import_module(module), function)
        return measurement


LIMIT_PREFIX = "max_"

_REGISTRY: dict[str, CostDefinition] = {}


def register_cost(definition: CostDefinition) -> CostDefinition:
    """Register a cost under its name, for this process and before a study file with it is read.

    Raises:
        ValueError: Another cost has the name.
    """
    if _REGISTRY.setdefault(definition.name, definition) != definition:
        raise ValueError(f"cost {definition.name!r}: another cost has this name")
    return definition


def cost_names() -> tuple[str, ...]:
    """Names of all costs, in the order of their registration."""
    return tuple(_REGISTRY)


def cost_definition(name: str) -> CostDefinition:
    """Return a cost by its name.

    Raises:
        ValueError: There is no such cost; the text lists those there are.
    """
    try:
        return _REGISTRY[name]
    except KeyError:
        known = ", ".join(cost_names())
        raise ValueError(f"no cost {name!r}{did_you_mean(name, cost_names())}; costs: {known}") from None


register_cost(
    CostDefinition(PARAMS, "parameters", "params", "parameters", "nas.export.costs.counts:params", is_counted=True)
)
register_cost(
    CostDefinition(
        FLOPS, "FLOPs (multiply-adds) of one image", "FLOPs", "FLOPs", "nas.export.costs.counts:flops",
        superlative="cheapest", comparative="cheaper", quality="cheap", is_counted=True,
    )
)  # fmt: skip
register_cost(
    CostDefinition(
        SIZE_BYTES, "size of the ONNX file in bytes", "file, bytes", "bytes", "nas.export.costs.file_size:size_bytes",
    )
)  # fmt: skip
register_cost(
    CostDefinition(
        PEAK_MEMORY_BYTES, "peak memory of activations in bytes", "memory, bytes", "bytes of activations",
        "nas.export.costs.peak_memory:peak_memory_bytes", superlative="leanest", comparative="leaner", quality="lean",
    )
)  # fmt: skip
register_cost(
    CostDefinition(
        LATENCY_MS, "latency in ms", "latency, ms", "ms", "nas.export.costs.latency_ms:latency_ms",
        superlative="fastest", comparative="faster", quality="fast", is_whole=False,
    )
)  # fmt: skip
