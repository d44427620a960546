"""A trial as the rest of the program sees it, read from and written to optuna's user attributes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nas.results.learning_curve import EpochRecord
from nas.results.metrics import METRIC_NAMES, ClassScores
from nas.results.network_cost import Cost
from nas.results.outcome import Completed, Stopped
from nas.search.pareto_front import Objectives
from nas.search.storage.grid_points import chosen_point
from nas.space.genome import Genome
from nas.study.grid_spec import Parameters

STOPPED = "stopped"
"""The reason of a trial that fell behind."""


@dataclass(frozen=True)
class TrialRecord:
    """One trial of a study.

    Attributes:
        state: Optuna's: RUNNING, COMPLETE, PRUNED, FAIL or WAITING.
        reason: Why it has no result, for PRUNED and FAIL.
        metrics: Averages by name; empty without a result.
        figures: What else its training measured, by name.
        weights: Identifier of its weights in the artifact store; only trials on the front when they ended have one.
        predictions: Likewise of what it says of the test images, if it is a run of finals.
        run: Its place among the runs of finals.
        stopped_at: After how many epochs it was stopped, if it fell behind.
        reused_from: The trial of the same genome whose result this one took over.
        trained_params: As in `Cost`.
        point: The values of its dimensions, of a grid's trial.
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

    @property
    def family(self) -> str:
        return self.genome.family if self.genome else "?"

    @property
    def stopped_early(self) -> bool:
        """Whether it fell behind and was stopped itself, and did not take this over from a twin."""
        return self.stopped_at is not None and self.reused_from is None

    @property
    def macro_f1(self) -> float:
        """Of a trial that has a result.

        Raises:
            ValueError: It has none.
        """
        if self.objectives is None:
            raise ValueError(f"trial {self.number} has no result")
        return self.objectives.macro_f1


def objectives_of(completed: Completed, cost: Cost) -> Objectives:
    """The values that the study is told."""
    return Objectives(completed.scores.f1_macro, math.log10(cost.params))


def stored_objectives(trial: FrozenTrial) -> Objectives:
    """Of a trial that completed; where optuna was told macro-F1 alone, the size is that which was noted before."""
    macro_f1, *sizes = trial.values
    return Objectives(macro_f1, sizes[0] if sizes else math.log10(trial.user_attrs["params"]))


def read_record(trial: FrozenTrial) -> TrialRecord:
    """What a stored trial holds."""
    attributes: dict[str, Any] = trial.user_attrs
    genome = attributes.get("genome")
    complete = trial.state == TrialState.COMPLETE and all(math.isfinite(value) for value in trial.values or ())
    return TrialRecord(
        number=trial.number,
        trial_id=trial._trial_id,
        state=trial.state.name,
        is_baseline=bool(attributes.get("baseline", False)),
        genome=Genome.from_json(genome) if genome else None,
        objectives=stored_objectives(trial) if complete and trial.values else None,
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
        point=chosen_point(trial),
    )


def genome_attributes(genome: Genome, cost: Cost) -> dict[str, Any]:
    """What the trial is, to be noted before it is trained."""
    return {
        "genome": genome.canonical_json,
        "genome_key": genome.key,
        "family": genome.family,
        "params": cost.params,
        "flops": cost.flops,
        **({} if cost.trained_params is None else {"trained_params": cost.trained_params}),
    }


def result_attributes(completed: Completed) -> dict[str, Any]:
    """The result, to be noted before the trial is told, for a finished trial takes no attributes."""
    scores = completed.scores
    return {
        **_result(scores.summary, completed.figures, scores.per_class, completed.curve, completed.device),
        "train_seconds": completed.seconds,
    }


def stopped_attributes(stopped: Stopped) -> dict[str, Any]:
    """How far a trial came, and why no further."""
    return {
        **_why_stopped(stopped.behind.sentence, stopped.epoch),
        **curve_attributes(stopped.curve),
        "train_seconds": stopped.seconds,
        "device": stopped.device,
    }


def copied_attributes(source: TrialRecord) -> dict[str, Any]:
    """What became of a trial of the same genome, for the trial that takes it over."""
    return {
        **_result(source.metrics, source.figures, source.per_class, source.curve, source.device),
        **({} if source.stopped_at is None else _why_stopped(source.detail, source.stopped_at)),
        "weights": source.weights,
        "predictions": source.predictions,
        "reused_from": source.number if source.reused_from is None else source.reused_from,
    }


def curve_attributes(curve: Sequence[EpochRecord]) -> dict[str, Any]:
    """A learning curve as far as it goes."""
    return {"curve": json.dumps([asdict(point) for point in curve])}


def _why_stopped(sentence: str | None, epoch: int) -> dict[str, Any]:
    return {"reason": STOPPED, "detail": sentence, "stopped_at": epoch}


def _result(
    metrics: dict[str, float],
    figures: dict[str, float],
    per_class: tuple[ClassScores, ...],
    curve: tuple[EpochRecord, ...],
    device: str | None,
) -> dict[str, Any]:
    return {
        "figures": json.dumps(figures),
        **metrics,
        "per_class": json.dumps([asdict(scores) for scores in per_class]),
        **curve_attributes(curve),
        "device": device,
    }
