"""Last improvement of a search, and the trials and minutes of search since.

The last improvement is the end of the answer, the smallest network at the target. Before there is one, and while the
target is only predicted, it is the end of the latest member of the Pareto front. No replay of the search is needed: a
trial that joined the front after all others did has not been displaced.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from nas.search.pareto_front import pareto_front
from nas.search.storage.trial_records import TrialRecord
from nas.search.target import Target, answer_of

_ENDED = ("COMPLETE", "PRUNED", "FAIL")


@dataclass(frozen=True)
class SinceImprovement:
    """Search since its last improvement.

    Attributes:
        has_improved: False before the first trial with a result; the search is then counted from its start.
        trials: Number of trials that have ended since.
        minutes: Minutes of search since, see `minutes_of_search`.
    """

    has_improved: bool
    trials: int
    minutes: float


def since_improvement(
    target: Target | None, records: Sequence[TrialRecord], now: datetime, interrupted: Collection[int]
) -> SinceImprovement:
    """Return the search since the last improvement.

    Args:
        target: Target of the search; None without one.
        records: All trials of the study.
        now: Local time without a time zone, as in the records.
        interrupted: As in `minutes_of_search`.
    """
    time = _last_improvement(target, records)
    ended = [one.ended for one in searched(records) if one.state in _ENDED and one.ended is not None]
    return SinceImprovement(
        has_improved=time is not None,
        trials=sum(time is None or one > time for one in ended),
        minutes=minutes_of_search(records, time, now, interrupted),
    )


def minutes_of_search(
    records: Sequence[TrialRecord], since: datetime | None, now: datetime, interrupted: Collection[int]
) -> float:
    """Return the minutes since a time, None for the start, in which at least one trial ran, the baseline not counted.

    A trial runs from its start to its end. One that was interrupted runs as long as it was trained, counted from its
    start: nobody recorded when it was paused, and the night between must not count.

    Args:
        interrupted: Identifiers of the trials that were paused, or whose worker was lost
            (`Slots.interrupted_trial_ids`).
    """
    runs = sorted(_run(record, now, record.trial_id in interrupted) for record in searched(records) if _has_run(record))
    total, until = timedelta(), since or datetime.min
    for start, end in runs:
        total += max(timedelta(), end - max(start, until))
        until = max(until, end)
    return total.total_seconds() / 60


def searched(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return the trials of the search with a network of their own."""
    return [record for record in records if record.is_searched]


def front_of(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return the Pareto front of the search, smallest first."""
    complete = [record for record in searched(records) if record.objectives is not None]
    return pareto_front(complete, lambda record: record.objectives)  # type: ignore[arg-type, return-value]


def _last_improvement(target: Target | None, records: Sequence[TrialRecord]) -> datetime | None:
    answer = None if target is None or target.is_predicted else answer_of(target, records)
    if answer is not None:
        return answer.ended
    return max((member.ended for member in front_of(records) if member.ended is not None), default=None)


def _has_run(record: TrialRecord) -> bool:
    """Return True if the trial ran; one without a size waits, or was lost with its worker before it was measured."""
    return record.started is not None and record.params is not None


def _run(record: TrialRecord, now: datetime, is_interrupted: bool) -> tuple[datetime, datetime]:
    """Return the start and the end of the time in which a trial ran."""
    assert record.started is not None
    end = record.ended or now
    if is_interrupted:
        end = min(end, record.started + timedelta(seconds=_trained_seconds(record)))
    return record.started, end


def _trained_seconds(record: TrialRecord) -> float:
    if record.train_seconds is not None:
        return record.train_seconds
    return record.curve[-1].seconds if record.curve else 0.0
