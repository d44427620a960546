"""Where trials stood at the rungs of their study (`rungs` decides what follows from it).

A trial that failed has no result, and may not have had one if nobody had waited for it, so it is nobody's peer: what
only a failed trial dominates may be on the front in the end. A trial that was stopped stays one; it stood where it
stood.
"""

from __future__ import annotations

from dataclasses import dataclass

from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Engine, select
from sqlalchemy.dialects.postgresql import insert

from nas.search.pareto_front import Objectives
from nas.search.storage.outage_retry import retry_through_outage
from nas.search.storage.sql_tables import rungs as _rungs

_Trial = models.TrialModel


@dataclass(frozen=True)
class RungScore:
    """A trial at a rung: its number, its macro-F1 after so many epochs, and its size."""

    number: int
    objectives: Objectives


class RungScores:
    """The standings of one study. Safe to share between threads.

    Every method is one statement that commits by itself and may be repeated. Who enters before reading is seen by
    everyone who reads later, so of two trials that reach a rung together at least one sees the other.

    Args:
        study: The study's name.
        patience_seconds: How long an outage is waited for. Not at all by default: a training goes on meanwhile, and
            whoever watches over it has other things to hear.
    """

    def __init__(self, engine: Engine, study: str, *, patience_seconds: float = 0.0) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._url = engine.url.render_as_string(hide_password=False)
        self._study = study
        self._patience_seconds = patience_seconds

    def enter(self, epoch: int, trial_id: int, group: str, objectives: Objectives) -> None:
        """Note where a trial stands, in the place of what was noted when it was there before.

        Args:
            group: See `rungs.comparable_group`.

        Raises:
            DatabaseError: The database does not answer, or has no table for it.
        """
        row = {
            "grouping": group,
            "macro_f1": objectives.macro_f1,
            "log10_params": objectives.log10_params,
        }
        statement = (
            insert(_rungs)
            .values(study=self._study, epoch=epoch, trial_id=trial_id, **row)
            .on_conflict_do_update(index_elements=["study", "epoch", "trial_id"], set_=row)
        )

        def call() -> None:
            with self._engine.connect() as connection:
                connection.execute(statement)

        retry_through_outage(call, url=self._url, patience_seconds=self._patience_seconds)

    def peers(self, epoch: int, trial_id: int, group: str, objectives: Objectives) -> list[RungScore]:
        """The other trials of a group at a rung that are no larger; none of them has failed.

        Raises:
            DatabaseError: As in `enter`.
        """
        statement = (
            select(_Trial.number, _rungs.c.macro_f1, _rungs.c.log10_params)
            .join(_Trial, _Trial.trial_id == _rungs.c.trial_id)
            .where(_rungs.c.study == self._study, _rungs.c.epoch == epoch, _rungs.c.grouping == group)
            .where(_rungs.c.trial_id != trial_id, _rungs.c.log10_params <= objectives.log10_params)
            .where(_Trial.state != TrialState.FAIL)
        )

        def call() -> list[RungScore]:
            with self._engine.connect() as connection:
                rows = connection.execute(statement).all()
            return [RungScore(number, Objectives(macro_f1, size)) for number, macro_f1, size in rows]

        return retry_through_outage(call, url=self._url, patience_seconds=self._patience_seconds)
