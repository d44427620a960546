"""Attributes of Optuna's trials in which genomes, costs and results are stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from nas.results.learning_curve import EpochRecord
from nas.results.metrics import ClassScores
from nas.results.network_cost import Cost
from nas.results.outcome import Completed, Stopped
from nas.search.storage.trial_records import STOPPED, TrialRecord
from nas.space.genome import Genome


def genome_attributes(genome: Genome, cost: Cost) -> dict[str, Any]:
    """Attributes with a trial's genome and costs, stored before its training."""
    return {
        "genome": genome.canonical_json,
        "genome_key": genome.key,
        "family": genome.family,
        "params": cost.params,
        "flops": cost.flops,
        **({} if cost.trained_params is None else {"trained_params": cost.trained_params}),
        **({"costs": dict(cost.measured)} if cost.measured else {}),
    }


def result_attributes(completed: Completed) -> dict[str, Any]:
    """Attributes with a result, stored before the trial ends, since a finished trial accepts none."""
    scores = completed.scores
    return {
        **_score_attributes(scores.summary, completed.figures, scores.per_class, completed.curve, completed.device),
        "train_seconds": completed.seconds,
    }


def stopped_attributes(stopped: Stopped) -> dict[str, Any]:
    """Attributes of a trial that early stopping ended: reason, epoch and learning curve."""
    return {
        **_stop_attributes(stopped.reason.sentence, stopped.epoch),
        **curve_attributes(stopped.curve),
        "train_seconds": stopped.seconds,
        "device": stopped.device,
    }


def duplicate_attributes(source: TrialRecord) -> dict[str, Any]:
    """Attributes of a duplicate, copied from the trial of the same genome."""
    return {
        **_score_attributes(source.metrics, source.figures, source.per_class, source.curve, source.device),
        **({} if source.stopped_at is None else _stop_attributes(source.detail, source.stopped_at)),
        "weights": source.weights,
        "predictions": source.predictions,
        "reused_from": source.number if source.reused_from is None else source.reused_from,
    }


def curve_attributes(curve: Sequence[EpochRecord]) -> dict[str, Any]:
    """Attribute with the learning curve so far."""
    return {"curve": json.dumps([point.as_json() for point in curve])}


def _stop_attributes(sentence: str | None, epoch: int) -> dict[str, Any]:
    return {"reason": STOPPED, "detail": sentence, "stopped_at": epoch}


def _score_attributes(
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
