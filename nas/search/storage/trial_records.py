"""Trial records: conversion between Optuna's trials with their user attributes and `TrialRecord`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nas.results.learning_curve import EpochRecord
from nas.results.metrics import METRIC_NAMES, ClassScores
from nas.results.network_cost import Cost
from nas.results.outcome import Completed
from nas.search.pareto_front import Objectives
from nas.search.storage.grid_trial_attributes import grid_point_of
from nas.space.genome import Genome
from nas.study.cost_definitions import FLOPS, PARAMS
from nas.study.costs_spec import DEFAULT_OBJECTIVES, ObjectivePair
from nas.study.grid_spec import Parameters
from nas.study.score_definitions import MACRO_F1

STOPPED = "stopped"
"""Reason of trials ended by early stopping."""

SHARED = "shared"
"""Source of a score with the weights of an elastic network; the trial's network was not trained by itself."""

FINE_TUNED = "fine_tuned"
"""Source of a score of a network that was trained from the weights of an elastic network."""

FILE = "file"
"""Source of a score of a model file, which is scored as it is."""

NUMBER = "number"
"""Source of a score that was not measured here."""

ELASTIC = "elastic"
"""Reason of the trial that stands for the training of an elastic network; it has no score of its own."""

BRIEF_ATTRIBUTES = (
    "baseline", "costs", "elastic", "figures", "flops", "params", "reason", "reused_from", "source", "stopped_at",
    "train_seconds",
)  # fmt: skip
"""Attributes of a trial that say what it is and how it ended, without genome, scores and curve."""


@dataclass(frozen=True)
class TrialRecord:
    """Record of one trial of a study.

    Attributes:
        state: Optuna's state: RUNNING, COMPLETE, PRUNED, FAIL or WAITING.
        reason: Reason for PRUNED and FAIL.
        metrics: Averaged scores by name; empty without a result.
        figures: Other measurements of the training, by name.
        weights: Artifact identifier of the weights; None for most trials off the front, see `TrialTeller.completed`.
        predictions: Artifact identifier of the predictions on the test images, for a final run.
        run: Index among the runs of a finals study.
        stopped_at: Number of epochs at which early stopping ended it.
        reused_from: Number of the trial of the same genome whose result this duplicate copied.
        trained_params: See `Cost`.
        point: Values of the grid dimensions; empty outside a grid.
        parameters: Optuna's parameters of the genome.
        genome_key: The genome's key, as stored: computing thousands takes a second.
        source: `SHARED`, `FINE_TUNED`, `FILE` or `NUMBER`; None for a network that was trained from nothing.
        candidate_of: Number of the trial with the shared score of a network that was trained by itself later.
        elastic: Definition of an elastic network, if the trial stands for its training.
        other_baseline: Title of a baseline that is not the study's reference; None for the reference and for trials.
        pair: Score and cost of its objectives.
        costs: Costs by name, beside parameters and FLOPs.
    """

    number: int
    trial_id: int
    state: str
    is_baseline: bool
    genome: Genome | None
    objectives: Objectives | None
    params: int | None
    flops: int | None
    metrics: dict[str, float]
    figures: dict[str, float]
    per_class: tuple[ClassScores, ...]
    curve: tuple[EpochRecord, ...]
    train_seconds: float | None
    device: str | None
    reason: str | None
    detail: str | None
    weights: str | None
    predictions: str | None
    run: int | None
    stopped_at: int | None
    reused_from: int | None
    started: datetime | None
    ended: datetime | None
    trained_params: int | None = None
    point: Parameters = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    genome_key: str | None = None
    source: str | None = None
    candidate_of: int | None = None
    elastic: Mapping[str, Any] | None = None
    other_baseline: str | None = None
    pair: ObjectivePair = DEFAULT_OBJECTIVES
    costs: Mapping[str, float] = field(default_factory=dict)

    @property
    def family(self) -> str:
        return self.genome.family if self.genome else "?"

    @property
    def is_reference(self) -> bool:
        """True for the baseline that the trials are compared with."""
        return self.is_baseline and self.other_baseline is None

    @property
    def is_searched(self) -> bool:
        """True for a trial of the search with a network of its own.

        False for the baseline, an elastic training, and a slice with a shared score.
        """
        return not self.is_baseline and self.elastic is None and self.source != SHARED

    @property
    def training(self) -> str:
        """Origin of the network's weights in a few words."""
        match self.source:
            case "shared":
                return "not trained by itself: shared weights"
            case "fine_tuned":
                return "fine-tuned from shared weights"
            case "file":
                return "a model file, scored as it is"
            case "number":
                return "a number from elsewhere, not measured here"
            case _:
                return "from nothing"

    @property
    def stopped_early(self) -> bool:
        """True if early stopping ended this trial itself; False for a duplicate of a stopped one."""
        return self.stopped_at is not None and self.reused_from is None

    @property
    def score(self) -> float:
        """Score of a trial with a result, which is macro-F1 unless the study names another.

        Raises:
            ValueError: The trial has no result.
        """
        if self.objectives is None:
            raise ValueError(f"trial {self.number} has no result")
        return self.objectives.score

    @property
    def macro_f1(self) -> float:
        """Macro-F1 of a trial with a result.

        Raises:
            ValueError: The trial has no result.
        """
        return self.score if self.pair.score == MACRO_F1 else self.metrics["f1_macro"]

    @property
    def cost(self) -> float | None:
        """Cost that the study minimises: the number of parameters unless it names another."""
        return self.cost_of(self.pair.cost)

    def cost_of(self, name: str) -> float | None:
        """Return a cost by its name; None if it is unknown."""
        counted: dict[str, float | None] = {PARAMS: self.params, FLOPS: self.flops}
        return counted[name] if name in counted else self.costs.get(name)

    @property
    def cost_text(self) -> str:
        """The cost with its unit."""
        return self.pair.cost_definition.text(self.cost)

    def with_cost(self, name: str, value: float | None) -> TrialRecord:
        """Return the record as one of a study that minimises another cost; without a value it has no objectives."""
        objectives = None
        if self.objectives is not None and value:
            objectives = Objectives(self.score, math.log10(value))
        costs = self.costs if value is None else {**self.costs, name: value}
        return replace(self, pair=self.pair._replace(cost=name), costs=costs, objectives=objectives)


def objectives_of(completed: Completed, cost: Cost, pair: ObjectivePair = DEFAULT_OBJECTIVES) -> Objectives:
    """Return the objective values of a completed training."""
    return Objectives(completed.scores.objective, math.log10(cost[pair.cost]))


def stored_objectives(trial: FrozenTrial, pair: ObjectivePair = DEFAULT_OBJECTIVES) -> Objectives:
    """Return the objectives of a complete trial; in a single-objective study the cost is from its attributes."""
    score, *costs = trial.values
    return Objectives(score, costs[0] if costs else math.log10(stored_costs(trial.user_attrs)[pair.cost]))


def stored_costs(attributes: Mapping[str, Any]) -> dict[str, float]:
    """Return all costs in a trial's attributes by name."""
    counted = {name: attributes[name] for name in (PARAMS, FLOPS) if attributes.get(name) is not None}
    return {**counted, **attributes.get("costs", {})}


def read_record(trial: FrozenTrial, pair: ObjectivePair = DEFAULT_OBJECTIVES) -> TrialRecord:
    """Read a record from a stored trial of a study with the objectives."""
    attributes: dict[str, Any] = trial.user_attrs
    genome, baseline = attributes.get("genome"), attributes.get("baseline", False)
    complete = trial.state == TrialState.COMPLETE and all(math.isfinite(value) for value in trial.values or ())
    return TrialRecord(
        number=trial.number,
        trial_id=trial._trial_id,
        state=trial.state.name,
        is_baseline=bool(baseline),
        genome=Genome.from_json(genome) if genome else None,
        objectives=stored_objectives(trial, pair) if complete and trial.values else None,
        params=attributes.get("params"),
        flops=attributes.get("flops"),
        metrics={name: attributes[name] for name in METRIC_NAMES if name in attributes},
        figures=json.loads(attributes.get("figures", "{}")),
        per_class=tuple(ClassScores(**scores) for scores in json.loads(attributes.get("per_class", "[]"))),
        curve=tuple(EpochRecord(**point) for point in json.loads(attributes.get("curve", "[]"))),
        train_seconds=attributes.get("train_seconds"),
        device=attributes.get("device"),
        reason=attributes.get("reason"),
        detail=attributes.get("detail"),
        weights=attributes.get("weights"),
        predictions=attributes.get("predictions"),
        run=attributes.get("run"),
        stopped_at=attributes.get("stopped_at"),
        reused_from=attributes.get("reused_from"),
        started=trial.datetime_start,
        ended=trial.datetime_complete,
        trained_params=attributes.get("trained_params"),
        point=grid_point_of(trial),
        parameters=trial.params,
        genome_key=attributes.get("genome_key"),
        source=attributes.get("source"),
        candidate_of=attributes.get("candidate_of"),
        elastic=attributes.get("elastic"),
        other_baseline=baseline if isinstance(baseline, str) else None,
        pair=pair,
        costs=attributes.get("costs", {}),
    )
