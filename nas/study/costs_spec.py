"""Objectives of a study, and the conditions under which costs are measured: the `[costs]` table of a study file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from nas.space.immutable_model import FrozenModel, PositiveInt
from nas.study.cost_definitions import (
    LATENCY_MS,
    PARAMS,
    PEAK_MEMORY_BYTES,
    SIZE_BYTES,
    CostDefinition,
    cost_definition,
)
from nas.study.score_definitions import MACRO_F1, ScoreDefinition, score_definition

Precision = Literal["float32", "int8"]


class CostsSpec(FrozenModel):
    """Conditions under which costs are measured.

    Attributes:
        precision: Numbers of the exported file (`size_bytes`) and of activations (`peak_memory_bytes`).
        batch: Images that are classified at once (`latency_ms`).
        latency: Content of a file that `nas measure` wrote on another machine, which predicts the latency there; None
            to measure it on the machine that trains.
    """

    precision: Precision = "float32"
    batch: PositiveInt = 1
    latency: dict[str, Any] | None = None


class ObjectivePair(NamedTuple):
    """Names of a study's score, which is maximised, and cost, which is minimised."""

    score: str = MACRO_F1
    cost: str = PARAMS

    @property
    def score_definition(self) -> ScoreDefinition:
        """Definition of the score."""
        return score_definition(self.score)

    @property
    def cost_definition(self) -> CostDefinition:
        """Definition of the cost."""
        return cost_definition(self.cost)

    def as_json(self) -> dict[str, str]:
        """Return the names and the unit of the cost for `--json`."""
        return {**self._asdict(), "unit": self.cost_definition.unit}


DEFAULT_OBJECTIVES = ObjectivePair()


def measured_costs(objectives: ObjectivePair, limited: Sequence[str]) -> tuple[str, ...]:
    """Names of the costs that every trial is measured for beside parameters and FLOPs, which are always counted."""
    names = dict.fromkeys((objectives.cost, *limited))
    return tuple(name for name in names if not cost_definition(name).is_counted)


def objective_faults(objectives: Sequence[str], costs: CostsSpec, limited: Sequence[str]) -> Iterator[str]:
    """Yield the faults of a study's objectives, which are a score, or a score and a cost, and of its `[costs]`.

    Args:
        limited: Names of the costs with a limit in the budget.
    """
    if len(objectives) not in (1, 2):
        yield 'objectives: a score, or a score and a cost, such as ["macro_f1", "params"]'
        return
    faults = []
    for name, find in zip(objectives, (score_definition, cost_definition), strict=False):
        try:
            find(name)
        except ValueError as error:
            faults.append(f"objectives: {error}")
    yield from faults or _costs_faults(costs, measured_costs(ObjectivePair(*objectives), limited))


def _costs_faults(costs: CostsSpec, measured: Sequence[str]) -> Iterator[str]:
    """Yield settings of `[costs]` that nothing uses, or that contradict each other."""
    if LATENCY_MS not in measured:
        for key, is_given in (("batch", costs.batch != 1), ("latency", costs.latency is not None)):
            if is_given:
                yield f"costs.{key}: no objective or budget is {LATENCY_MS}; remove it"
    if costs.precision != "float32" and not {SIZE_BYTES, PEAK_MEMORY_BYTES} & set(measured):
        yield f"costs.precision: no objective or budget is {SIZE_BYTES} or {PEAK_MEMORY_BYTES}; remove it"
    if costs.latency is not None and costs.latency.get("batch", 1) != costs.batch:
        measured_batch = costs.latency.get("batch", 1)
        yield f"costs.batch: {costs.batch}, but the latency file was measured with {measured_batch}; set it to that"
