"""Optuna's relational storage on plain rows instead of ORM objects, for less time and memory."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

from nas.database import engine_options

_Trial = models.TrialModel


class LeanStorage(RDBStorage):
    """Optuna storage with bulk reads without ORM objects and bulk writes of attributes.

    For 10,000 trials Optuna's own reading makes half a million mapped objects and a distribution for each gene of each
    trial. Here all trials share the distributions, which are never modified.

    Args:
        engine: Engine whose connections are used; None for an engine of its own.
        create_tables: Create Optuna's tables if they are missing.
    """

    def __init__(self, url: str, *, engine: Engine | None = None, create_tables: bool = False) -> None:
        options = engine_options(url)
        if engine is not None:
            # Optuna always makes an engine to check the tables; a NullPool keeps no connections open for that.
            options = {key: options[key] for key in ("hide_parameters", "connect_args")} | {"poolclass": NullPool}
        super().__init__(url, engine_kwargs=options, skip_table_creation=not create_tables)
        self._distributions: dict[str, BaseDistribution] = {}
        if engine is not None:
            self.engine.dispose()
            self.engine = engine
            self.scoped_session = scoped_session(sessionmaker(bind=engine))

    def set_trial_user_attrs(self, trial_id: int, attributes: Mapping[str, Any]) -> None:
        """Set attributes of a trial atomically, in one transaction.

        Raises:
            KeyError: There is no such trial.
            UpdateFinishedTrialError: It has ended.
        """
        rows = [
            {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in attributes.items()
        ]
        statement = insert(models.TrialUserAttributeModel).values(rows)
        replaced = statement.on_conflict_do_update(
            index_elements=["trial_id", "key"], set_={"value_json": statement.excluded.value_json}
        )
        with self.engine.begin() as connection:
            # The lock prevents the trial from ending in between.
            state = _state_of(connection, trial_id, select(_Trial.state).with_for_update(read=True))
            self.check_trial_is_updatable(trial_id, state)
            connection.execute(replaced)

    def state_of(self, trial_id: int) -> TrialState:
        """Return the state of a trial without reading its other data.

        Raises:
            KeyError: There is no such trial.
        """
        with self.engine.connect() as connection:
            return _state_of(connection, trial_id, select(_Trial.state))

    def brief_trials(self, study_id: int, keys: Collection[str]) -> list[FrozenTrial]:
        """Read all trials of a study without their parameters, and with these of their attributes alone.

        The trials are not cached, so that a frequent reader of a long study holds no memory.
        """
        condition = _Trial.study_id == study_id
        with self.engine.connect() as connection:
            rows = connection.execute(_select_trials(condition)).all()
            details = _TrialDetails(connection, select(_Trial.trial_id).where(condition), keys)
        return [self._frozen_trial(row, details) for row in rows]

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        condition: ColumnElement[bool] = _Trial.trial_id > trial_id_greater_than
        included = [trial_id for trial_id in included_trial_ids if trial_id <= trial_id_greater_than]
        if included:
            condition = or_(condition, _Trial.trial_id.in_(included))
        condition = condition & (_Trial.study_id == study_id)
        if states is not None:
            condition = condition & _Trial.state.in_([state for state in TrialState if state in states])
        with self.engine.connect() as connection:
            # States are read first: the data of a trial that has ended is complete.
            rows = connection.execute(_select_trials(condition)).all()
            if not rows:
                _require_study(connection, study_id)
                return []
            details = _TrialDetails(connection, select(_Trial.trial_id).where(condition))
        return [self._frozen_trial(row, details) for row in rows]

    def _frozen_trial(self, row: Row[Any], details: _TrialDetails) -> FrozenTrial:
        params, distributions = {}, {}
        for name, value, stored in details.params[row.trial_id]:
            distribution = self._distribution(stored)
            params[name] = distribution.to_external_repr(value)
            distributions[name] = distribution
        return FrozenTrial(
            number=row.number,
            state=row.state,
            value=None,
            values=details.values.get(row.trial_id),
            datetime_start=_local_time(row.datetime_start),
            datetime_complete=_local_time(row.datetime_complete),
            params=params,
            distributions=distributions,
            user_attrs=details.user_attrs[row.trial_id],
            system_attrs=details.system_attrs[row.trial_id],
            intermediate_values=details.intermediate_values[row.trial_id],
            trial_id=row.trial_id,
        )

    def _distribution(self, stored: str) -> BaseDistribution:
        if stored not in self._distributions:
            self._distributions[stored] = json_to_distribution(stored)
        return self._distributions[stored]


class _TrialDetails:
    """Parameters, values and attributes of trials, by trial identifier.

    Args:
        keys: User attributes to read, for values and these alone; None for everything.
    """

    def __init__(self, connection: Connection, trial_ids: Select[Any], keys: Collection[str] | None = None) -> None:
        self._connection = connection
        self._trial_ids = trial_ids
        value, user_attribute = models.TrialValueModel, models.TrialUserAttributeModel
        self.params: defaultdict[int, list[tuple[str, float, str]]] = defaultdict(list)
        self.values: dict[int, list[float]] = {}
        self.intermediate_values: defaultdict[int, dict[int, float]] = defaultdict(dict)
        self.system_attrs: defaultdict[int, dict[str, Any]] = defaultdict(dict)
        for trial_id, number, kind in self._rows(value, (value.value, value.value_type), value.objective):
            self.values.setdefault(trial_id, []).append(value.stored_repr_to_value(number, kind))
        if keys is not None:
            self.user_attrs = self._attributes(user_attribute, user_attribute.key.in_(keys))
            return
        self.user_attrs = self._attributes(user_attribute)
        self.system_attrs = self._attributes(models.TrialSystemAttributeModel)
        self._read_parameters()

    def _read_parameters(self) -> None:
        """Read the parameters and the intermediate values."""
        step, param = models.TrialIntermediateValueModel, models.TrialParamModel
        rows = self._rows(param, (param.param_name, param.param_value, param.distribution_json), param.param_id)
        for trial_id, name, number, stored in rows:
            self.params[trial_id].append((sys.intern(name), number, sys.intern(stored)))
        columns = (step.step, step.intermediate_value, step.intermediate_value_type)
        for trial_id, number, stored, kind in self._rows(step, columns, step.step):
            self.intermediate_values[trial_id][number] = step.stored_repr_to_intermediate_value(stored, kind)

    def _attributes(self, model: Any, condition: ColumnElement[bool] | None = None) -> defaultdict[int, dict[str, Any]]:
        attributes: defaultdict[int, dict[str, Any]] = defaultdict(dict)
        for trial_id, key, stored in self._rows(model, (model.key, model.value_json), condition=condition):
            attributes[trial_id][sys.intern(key)] = json.loads(stored)
        return attributes

    def _rows(
        self, model: Any, columns: tuple[Any, ...], *order: Any, condition: ColumnElement[bool] | None = None
    ) -> Iterable[Any]:
        statement = select(model.trial_id, *columns).where(model.trial_id.in_(self._trial_ids)).order_by(*order)
        return self._connection.execute(statement if condition is None else statement.where(condition))


def _state_of(connection: Connection, trial_id: int, states: Select[Any]) -> TrialState:
    state: TrialState | None = connection.scalar(states.where(_Trial.trial_id == trial_id))
    if state is None:
        raise KeyError(models.NOT_FOUND_MSG)
    return state


def _select_trials(condition: ColumnElement[bool]) -> Select[Any]:
    return (
        select(
            _Trial.trial_id,
            _Trial.number,
            _Trial.state,
            _Trial._datetime_start_utc.label("datetime_start"),
            _Trial._datetime_complete_utc.label("datetime_complete"),
        )
        .where(condition)
        .order_by(_Trial.trial_id)
    )


def _require_study(connection: Connection, study_id: int) -> None:
    """Raise KeyError if the study does not exist, to tell it from a study without trials."""
    if connection.scalar(select(models.StudyModel.study_id).where(models.StudyModel.study_id == study_id)) is None:
        raise KeyError(models.NOT_FOUND_MSG)


def _local_time(stored: datetime | None) -> datetime | None:
    """Convert Optuna's stored naive UTC to the naive local time of its trials."""
    return None if stored is None else stored.replace(tzinfo=timezone.utc).astimezone().replace(tzinfo=None)
