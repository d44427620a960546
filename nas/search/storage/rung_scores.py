"""Table of rung scores used by early stopping (`early_stopping_rule` decides on them).

A failed trial is not a peer: it has no result, and a trial that only a failed one dominates may be on the final front.
A stopped trial remains a peer with the score that it had.

The columns `macro_f1` and `log10_params` hold the study's score and cost, whatever these are.
"""

from __future__ import annotations

from dataclasses import dataclass

from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Engine, select
from sqlalchemy.dialects.postgresql import insert

from nas.search.pareto_front import Objectives
from nas.search.storage.outage_retry import retry_through_outage
from nas.search.storage.sql_tables import rungs as _rung_scores

_Trial = models.TrialModel
_TrialValue = models.TrialValueModel


@dataclass(frozen=True)
class RungScore:
    """Score of a trial at a rung: its number, its score at that epoch, and its cost."""

    number: int
    objectives: Objectives


class RungScores:
    """Rung scores of one study. Safe to share between threads.

    Every method is one idempotent statement that commits by itself. A trial records its score before it reads its
    peers, so of two trials that reach a rung together at least one is compared with the other.

    Args:
        study: The study's name.
        max_outage_seconds: Retry time in an outage. 0 by default: the training goes on meanwhile, and its supervisor
            must not block.
    """

    def __init__(self, engine: Engine, study: str, *, max_outage_seconds: float = 0.0) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._url = engine.url.render_as_string(hide_password=False)
        self._study = study
        self._max_outage_seconds = max_outage_seconds

    def record(self, epoch: int, trial_id: int, group: str, objectives: Objectives) -> None:
        """Insert the score of a trial at a rung, or replace its earlier one.

        Args:
            group: See `early_stopping_rule.comparable_group`.

        Raises:
            DatabaseError: The database does not answer, or lacks the table.
        """
        row = {
            "grouping": group,
            "macro_f1": objectives.score,
            "log10_params": objectives.log10_cost,
        }
        statement = (
            insert(_rung_scores)
            .values(study=self._study, epoch=epoch, trial_id=trial_id, **row)
            .on_conflict_do_update(index_elements=["study", "epoch", "trial_id"], set_=row)
        )

        def call() -> None:
            with self._engine.connect() as connection:
                connection.execute(statement)

        retry_through_outage(call, url=self._url, max_outage_seconds=self._max_outage_seconds)

    def ends(self, epoch: int, group: str) -> list[tuple[float, float]]:
        """Return the score at a rung and at the end of the complete trials of a group.

        Raises:
            DatabaseError: See `record`.
        """
        statement = (
            select(_rung_scores.c.macro_f1, _TrialValue.value)
            .join(_Trial, _Trial.trial_id == _rung_scores.c.trial_id)
            .join(_TrialValue, _TrialValue.trial_id == _rung_scores.c.trial_id)
            .where(_rung_scores.c.study == self._study, _rung_scores.c.epoch == epoch, _rung_scores.c.grouping == group)
            .where(_Trial.state == TrialState.COMPLETE, _TrialValue.objective == 0)
        )

        def call() -> list[tuple[float, float]]:
            with self._engine.connect() as connection:
                return [(at_rung, final) for at_rung, final in connection.execute(statement).all()]

        return retry_through_outage(call, url=self._url, max_outage_seconds=self._max_outage_seconds)

    def peers(self, epoch: int, trial_id: int, group: str, objectives: Objectives) -> list[RungScore]:
        """Return the scores of the other trials of a group at a rung that cost no more and have not failed.

        Raises:
            DatabaseError: See `record`.
        """
        statement = (
            select(_Trial.number, _rung_scores.c.macro_f1, _rung_scores.c.log10_params)
            .join(_Trial, _Trial.trial_id == _rung_scores.c.trial_id)
            .where(_rung_scores.c.study == self._study, _rung_scores.c.epoch == epoch, _rung_scores.c.grouping == group)
            .where(_rung_scores.c.trial_id != trial_id, _rung_scores.c.log10_params <= objectives.log10_cost)
            .where(_Trial.state != TrialState.FAIL)
        )

        def call() -> list[RungScore]:
            with self._engine.connect() as connection:
                rows = connection.execute(statement).all()
            return [RungScore(number, Objectives(score, log10_cost)) for number, score, log10_cost in rows]

        return retry_through_outage(call, url=self._url, max_outage_seconds=self._max_outage_seconds)
