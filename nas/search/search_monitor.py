"""Progress and end of a search while it runs, read from the database past Optuna's cache."""

from __future__ import annotations

from datetime import datetime

from nas.search.analysis.search_progress import SearchProgress, search_progress
from nas.search.search_study import SearchStudy
from nas.search.stop_conditions import stop_reason
from nas.search.storage.outage_retry import retry_through_outage
from nas.search.storage.slot_leases import Slots
from nas.search.storage.trial_records import BRIEF_ATTRIBUTES, TrialRecord, read_record


class SearchMonitor:
    """Reader of a search's progress and end; safe to share between threads.

    Args:
        max_outage_seconds: Longest outage of the database to wait for; None for that of the study's workers.
    """

    def __init__(self, study: SearchStudy, *, max_outage_seconds: float | None = None) -> None:
        if max_outage_seconds is None:
            max_outage_seconds = study.max_outage_seconds
        self._spec, self._rdb, self._study_id = study.spec, study.storage.rdb, study.study_id
        self._slots = Slots(self._rdb.engine, study.name, max_outage_seconds=max_outage_seconds)
        self._max_outage_seconds = max_outage_seconds

    def stop_reason(self) -> str | None:
        """Return the condition of `[stop]` that holds, in words; None if the search goes on or its budget is spent.

        Raises:
            DatabaseError: The database does not answer.
        """
        if not self._spec.stop.is_given or self._slots.seconds_until_claimable() is None:
            return None
        return stop_reason(self._spec, self._records(), datetime.now(), self._slots.interrupted_trial_ids())

    def progress(self) -> SearchProgress:
        """Return the progress of the search.

        Raises:
            DatabaseError: The database does not answer.
        """
        records = self._records()
        if self._spec.has_target and any(one.is_reference and one.state == "RUNNING" for one in records):
            # The target is predicted from curves, which are long.
            records = self._records(("curve",))
        return search_progress(self._spec, records, datetime.now(), self._slots.interrupted_trial_ids())

    def _records(self, more_attributes: tuple[str, ...] = ()) -> list[TrialRecord]:
        """Read all trials, without genomes, scores of the classes and curves."""
        trials = retry_through_outage(
            lambda: self._rdb.brief_trials(self._study_id, (*BRIEF_ATTRIBUTES, *more_attributes)),
            url=self._rdb.url,
            max_outage_seconds=self._max_outage_seconds,
        )
        return [read_record(trial, self._spec.pair) for trial in trials]
