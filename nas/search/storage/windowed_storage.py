"""A view of a long study for those who propose and tell trials: what a sampler learns from, not all of it."""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine, text

from nas.search.pareto_front import Objectives, pareto_front
from nas.search.storage.lean_storage import LeanStorage

WINDOW_TRIALS = 500

_ANCHORS = text(
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
    """Optuna's storage, of which a first reading gives the newest trials, those on the front, and those not ended.

    Reading all of 10,000 trials takes a new worker two seconds and 400 MB, and a proposal from all of them seconds
    more. A sampler models the best against the rest, and the front, which is the best, is always shown. What comes
    after the first reading is all seen, so who works on for long reads anew from time to time.

    Args:
        window: How many of the newest trials.
    """

    def __init__(self, url: str, window: int, *, engine: Engine | None = None, create_tables: bool = False) -> None:
        super().__init__(url, engine=engine, create_tables=create_tables)
        self.window = window
        self._reads_left: int | None = None

    @contextmanager
    def read_once(self) -> Iterator[None]:
        """Within, the trials are read no more than once.

        With its constant liar TPE reads all running trials anew for each gene of a proposal: at 64 workers and 29
        genes, 1,856 trials for one.
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
        """As optuna's cache asks for them: first without a bound, and then for those after the last it knows."""
        if self._reads_left is not None:
            if self._reads_left == 0:
                return []
            self._reads_left -= 1
        if trial_id_greater_than < 0:
            with self.engine.connect() as connection:
                newest = {"study": study_id, "count": self.window}
                first = connection.scalar(_FIRST_OF_NEWEST, newest)
                older = connection.execute(_ANCHORS, {"study": study_id, "first": first or 0}).all()
            trial_id_greater_than = (first or 0) - 1
            included_trial_ids = included_trial_ids | _anchors(older)
        return super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)


def _anchors(rows: Any) -> set[int]:
    """Of the trials before the newest: the front, the baseline, and all that have not ended."""
    # Of one objective the front is the best.
    complete = [(row[0], Objectives(row[2], row[3] or 0.0)) for row in rows if row[1] == "COMPLETE" and not row[4]]
    front = {trial_id for trial_id, _ in pareto_front(complete, lambda pair: pair[1])}
    return front | {row[0] for row in rows if row[1] in ("RUNNING", "WAITING") or row[4]}
