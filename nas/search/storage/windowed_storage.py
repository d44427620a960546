"""Windowed view of a long study for workers: the trials that a sampler learns from."""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine, text

from nas.search.pareto_front import Objectives, pareto_front
from nas.search.storage.lean_storage import LeanStorage

WINDOW_TRIALS = 500

_OLDER_TRIALS = text(
    """
    SELECT trial.trial_id, trial.state, f1.value, size.value,
        EXISTS (SELECT 1 FROM trial_user_attributes a WHERE a.trial_id = trial.trial_id AND a.key = 'baseline')
    FROM trials trial
    LEFT JOIN trial_values f1 ON f1.trial_id = trial.trial_id AND f1.objective = 0
    LEFT JOIN trial_values size ON size.trial_id = trial.trial_id AND size.objective = 1
    WHERE trial.study_id = :study AND trial.trial_id < :first
    """
)
_FIRST_OF_NEWEST = text(
    "SELECT min(trial_id) FROM (SELECT trial_id FROM trials WHERE study_id = :study "
    "ORDER BY trial_id DESC LIMIT :count) AS newest"
)


class WindowedStorage(LeanStorage):
    """Optuna storage whose first read returns the newest trials, the front, the baseline and unfinished trials.

    Reading all of 10,000 trials takes a new worker two seconds and 400 MB, and a proposal from all of them seconds
    more. A sampler models the best against the rest, and the front, which is the best, is always included. Trials
    after the first read accumulate without bound, so a long-running worker opens the study again from time to time.

    Args:
        window: Number of newest trials.
    """

    def __init__(self, url: str, window: int, *, engine: Engine | None = None, create_tables: bool = False) -> None:
        super().__init__(url, engine=engine, create_tables=create_tables)
        self.window = window
        self._reads_left: int | None = None

    @contextmanager
    def read_once(self) -> Iterator[None]:
        """Context manager in which the trials are read at most once.

        With its constant liar TPE reads all running trials again for each gene of a proposal: at 64 workers and 29
        genes, 1,856 trials for one proposal.
        """
        self._reads_left = 1
        try:
            yield
        finally:
            self._reads_left = None

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """Read trials for Optuna's cache: its first call has no lower bound, later ones start after its last trial."""
        if self._reads_left is not None:
            if self._reads_left == 0:
                return []
            self._reads_left -= 1
        if trial_id_greater_than < 0:
            with self.engine.connect() as connection:
                newest = {"study": study_id, "count": self.window}
                first = connection.scalar(_FIRST_OF_NEWEST, newest)
                older = connection.execute(_OLDER_TRIALS, {"study": study_id, "first": first or 0}).all()
            trial_id_greater_than = (first or 0) - 1
            included_trial_ids = included_trial_ids | _always_read(older)
        return super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)


def _always_read(rows: Any) -> set[int]:
    """Return identifiers of the older trials to include: the front, the baseline and unfinished ones."""
    # With a single objective the front is the best trial.
    complete = [(row[0], Objectives(row[2], row[3] or 0.0)) for row in rows if row[1] == "COMPLETE" and not row[4]]
    front = {trial_id for trial_id, _ in pareto_front(complete, lambda pair: pair[1])}
    return front | {row[0] for row in rows if row[1] in ("RUNNING", "WAITING") or row[4]}
