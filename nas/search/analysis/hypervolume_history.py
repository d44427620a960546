"""How far a search had come, trial by trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from nas.search.pareto_front import Objectives, hypervolume, pareto_front
from nas.search.storage.trial_records import TrialRecord

_FINISHED = ("COMPLETE", "PRUNED", "FAIL")


@dataclass(frozen=True)
class HypervolumePoint:
    """What a search had reached.

    Attributes:
        trials: How many had ended, with a result or without.
        hours: Spent on training them, on however many devices at once.
        area: The hypervolume of their front, see `nas.search.pareto_front`.
    """

    trials: int
    hours: float
    area: float


def hypervolume_history(records: Sequence[TrialRecord]) -> list[HypervolumePoint]:
    """Nothing at first, each time the hypervolume grew, and the present; the baseline is not counted.

    Trials count in the order in which they ended. Empty before one has.
    """
    ended = [record for record in records if record.state in _FINISHED and not record.is_baseline]
    ended.sort(key=lambda record: (record.ended or datetime.min, record.number))
    history = [HypervolumePoint(0, 0.0, 0.0)]
    front: list[Objectives] = []
    seconds, area = 0.0, 0.0
    for count, record in enumerate(ended, 1):
        seconds += record.train_seconds or 0.0
        point = record.objectives
        if point is not None and not any(_covers(member, point) for member in front):
            front = pareto_front([*front, point], lambda point: point)
            grown = hypervolume(front)
            if grown > area:
                area = grown
                history.append(HypervolumePoint(count, seconds / 3600, area))
    if ended and history[-1].trials < len(ended):
        history.append(HypervolumePoint(len(ended), seconds / 3600, area))
    return history if ended else []


def _covers(member: Objectives, point: Objectives) -> bool:
    """Whether a member of the front is at least as good in both."""
    return member.macro_f1 >= point.macro_f1 and member.log10_params <= point.log10_params
