"""Sequence of finalists down the front, from the highest score to the smallest network at the target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from nas.search.analysis.front_summary import FrontSummary
from nas.search.storage.trial_records import TrialRecord
from nas.study.final_runs import FinalRun, finalist_name

DEFAULT_FINALISTS = 5

_Path = tuple[float, tuple[int, ...]]


def sequence_down_the_front(
    summary: FrontSummary, *, margin: float, most: int = DEFAULT_FINALISTS
) -> list[TrialRecord]:
    """Choose finalists from the front, highest score first, spread evenly in log10 of their costs.

    The last is the smallest at the target, and so the study's answer; in a study without a target the smallest within
    the margin of the baseline. The first is the best of the front, which stands alone where none is at the target.

    Args:
        margin: Non-inferiority margin.
        most: Number of finalists at most.
    """
    required = summary.target.macro_f1 if summary.target is not None else None
    if required is None and summary.baseline is not None:
        required = summary.baseline.score - margin
    eligible = [record for record in summary.front if required is not None and record.score >= required]
    return list(reversed(spread_evenly(eligible or summary.front[-1:], most)))


def spread_evenly(front: Sequence[TrialRecord], count: int) -> list[TrialRecord]:
    """Choose members of a front, lowest cost first, whose steps in log10 of their costs are as equal as possible.

    The ends are among them, or the smallest alone if one is asked for. Of all choices with these ends, this one has
    the smallest sum of squared steps, found by dynamic programming.
    """
    if len(front) <= count:
        return list(front)
    if count == 1:
        return [front[0]]
    sizes = [math.log10(record.cost or 1) for record in front]
    # Least sum of squares, and the indices, of paths from the smallest member to each other one.
    paths: list[_Path] = [(0.0 if index == 0 else math.inf, (0,)) for index in range(len(front))]
    for _ in range(count - 1):
        paths = [_shortest(paths[:end], sizes, end) for end in range(len(front))]
    return [front[index] for index in paths[-1][1]]


def _shortest(paths: Sequence[_Path], sizes: Sequence[float], end: int) -> _Path:
    """Extend the path to each earlier member by a step to this one; return the shortest."""
    extended = [
        (cost + (sizes[end] - sizes[start]) ** 2, (*members, end)) for start, (cost, members) in enumerate(paths)
    ]
    return min(extended, default=(math.inf, (end,)))


def order_by_score(runs: Sequence[FinalRun], scores: Mapping[int, float]) -> tuple[str, ...]:
    """Order the finalists of finals without a stored sequence by their score on the validation images, highest first.

    Like any order that the test images have no part in, it leaves the error of a fixed sequence as it is.

    Args:
        scores: Score on the validation images by trial number.
    """
    trials = {run.trial for run in runs if not run.is_baseline}
    ordered = sorted(trials, key=lambda trial: (-scores.get(trial, 0.0), trial))
    return tuple(finalist_name(trial) for trial in ordered)
