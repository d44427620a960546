"""Hypervolume history of a search, trial by trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from nas.search.pareto_front import Objectives, hypervolume, pareto_front, reference_point
from nas.search.storage.trial_records import TrialRecord
from nas.study.cost_definitions import PARAMS

_FINISHED = ("COMPLETE", "PRUNED", "FAIL")


@dataclass(frozen=True)
class HypervolumePoint:
    """Hypervolume after a number of trials.

    Attributes:
        trials: Number of finished trials, with a result or without.
        hours: Sum of their training times over all devices.
        area: Hypervolume of their front, see `nas.search.pareto_front`.
    """

    trials: int
    hours: float
    area: float


def hypervolume_history(records: Sequence[TrialRecord]) -> list[HypervolumePoint]:
    """Return the points at which the hypervolume grew, from 0 to the present; the baseline is excluded.

    Trials are ordered by their end. Empty without a finished trial.
    """
    ended = [record for record in records if record.state in _FINISHED and record.is_searched]
    ended.sort(key=lambda record: (record.ended or datetime.min, record.number))
    history = [HypervolumePoint(0, 0.0, 0.0)]
    front: list[Objectives] = []
    seconds, area, reference = 0.0, 0.0, reference_of(records)
    for count, record in enumerate(ended, 1):
        seconds += record.train_seconds or 0.0
        point = record.objectives
        if point is not None and not any(_weakly_dominates(member, point) for member in front):
            front = pareto_front([*front, point], lambda point: point)
            new_area = hypervolume(front, reference)
            if new_area > area:
                area = new_area
                history.append(HypervolumePoint(count, seconds / 3600, area))
    if ended and history[-1].trials < len(ended):
        history.append(HypervolumePoint(len(ended), seconds / 3600, area))
    return history if ended else []


def reference_of(records: Sequence[TrialRecord]) -> Objectives:
    """Return the reference point of the hypervolume of a study with these trials."""
    complete = [record for record in records if record.objectives is not None]
    cost = complete[0].pair.cost if complete else PARAMS
    return reference_point(cost, [record.objectives for record in complete if record.objectives is not None])


def _weakly_dominates(member: Objectives, point: Objectives) -> bool:
    """Return True if a member of the front is at least as good in both objectives."""
    return member.score >= point.score and member.log10_cost <= point.log10_cost
