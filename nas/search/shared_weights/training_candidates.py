"""Choice of the slices that are trained by themselves, so that the answer is a trained network."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from nas.search.pareto_front import pareto_front
from nas.search.storage.trial_records import SHARED, TrialRecord


def next_candidate(
    records: Sequence[TrialRecord], target_f1: float | None, *, aims_at_target: bool
) -> TrialRecord | None:
    """Return the trial with a shared score whose network is trained by itself next; None if all of the front were.

    A slice gains by its own training, about as much as the slices gained that were trained so far. With that gain, the
    choice for the target is the smallest slice at the target, or without one the best; a slice is left out if a network
    trained by itself already has the target's score at a lower cost. The choice for the front is the member
    farthest in size from all networks trained by themselves.

    Args:
        records: All trials.
        aims_at_target: True for a trial that is for the target; else it is for the front.
    """
    begun = {record.candidate_of for record in records if record.candidate_of is not None}
    shared = [one for one in records if one.source == SHARED and one.objectives is not None]
    gain = median_gain(records)
    front = pareto_front(shared, lambda record: record.objectives)  # type: ignore[arg-type, return-value]
    left = [record for record in front if record.number not in begun]
    if not left:
        return None
    sizes = [_size(one) for one in shared if one.number in begun]
    if target_f1 is not None and aims_at_target:
        trained = [one for one in records if one.is_searched and one.objectives is not None]
        reached = [_size(one) for one in trained if one.score >= target_f1]
        smaller = [one for one in left if not reached or _size(one) < min(reached)]
        at_target = [one for one in smaller if one.score + gain >= target_f1]
        if at_target:
            return at_target[0]
        if smaller:
            # The best of those that are predicted below the target: a prediction is not exact.
            return smaller[-1]
    if not sizes:
        return left[-1]
    return max(left, key=lambda record: min(abs(_size(record) - size) for size in sizes))


def median_gain(records: Sequence[TrialRecord]) -> float:
    """Median difference between own and shared scores of the slices trained so far; 0 before the first.

    Trainings with another recipe than the elastic network's do not count.
    """
    by_number = {record.number: record for record in records}
    gains = [
        record.score - shared.score
        for record in records
        if record.candidate_of is not None and record.objectives is not None
        and (shared := by_number.get(record.candidate_of)) is not None and shared.objectives is not None
        and record.genome_key == shared.genome_key
    ]  # fmt: skip
    return statistics.median(gains) if gains else 0.0


def _size(record: TrialRecord) -> float:
    """Decimal logarithm of the cost."""
    return math.log10(record.cost or 1)
