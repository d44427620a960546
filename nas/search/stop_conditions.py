"""Conditions that end a search before its budget is spent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from nas.search.improvement import since_improvement
from nas.search.storage.trial_records import TrialRecord
from nas.search.target import answer_of, target_of
from nas.study.cost_definitions import cost_definition
from nas.study.study_spec import StudySpec


def stop_reason(
    spec: StudySpec, records: Sequence[TrialRecord], now: datetime, interrupted: Collection[int]
) -> str | None:
    """Return the condition of `[stop]` that holds, in words; None if the search goes on.

    A predicted target ends no search.

    Args:
        records, now, interrupted: As in `nas.search.improvement.since_improvement`.
    """
    stop, target = spec.stop, target_of(spec, records)
    if not stop.is_given:
        return None
    answer = None if target is None or target.is_predicted else answer_of(target, records)
    for _, name, most in stop.thresholds(spec.pair.cost) if answer is not None else ():
        assert answer is not None
        definition, value = cost_definition(name), answer.cost_of(name)
        if value is not None and value <= most:
            text, number = definition.text(value), definition.number(most)
            return f"trial {answer.number} is at the target with {text}, of at most {number}"
    since = since_improvement(target, records, now, interrupted)
    trials, minutes = stop.trials_without_improvement, stop.minutes_without_improvement
    if trials is not None and since.trials >= trials:
        return f"no improvement for {trials} trial{'' if trials == 1 else 's'}"
    if minutes is not None and since.minutes >= minutes:
        return f"no improvement for {minutes:g} minute{'' if minutes == 1 else 's'} of search"
    return None


class StopConditions:
    """Stop conditions of a search, checked by all supervisors of a process.

    Once one has held, the process starts no further trial, even if a trial that was still running then improves the
    answer. The condition no longer holds in that case, and the next command goes on.

    Args:
        read_reason: Reads the condition that holds from the database.
        on_end: Called once, with the reason.
    """

    def __init__(self, read_reason: Callable[[], str | None], on_end: Callable[[str], None]) -> None:
        self._read_reason, self._on_end = read_reason, on_end
        self._reason: str | None = None
        self._lock = threading.Lock()

    def hold(self) -> bool:
        """Return True if the search is at its end; called from the supervisor threads before they start a trial."""
        with self._lock:
            if self._reason is None:
                self._reason = self._read_reason()
                if self._reason is not None:
                    self._on_end(self._reason)
            return self._reason is not None
