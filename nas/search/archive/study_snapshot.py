"""Snapshot of a study in the database: attributes, trials, slots and rung scores as plain values, read and written."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

import optuna
from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from pydantic import ValidationError
from sqlalchemy import Connection, delete, insert, select, update

from nas.errors import ArchiveError, StudyError
from nas.results.dataset_summary import DatasetSummary
from nas.search.search_study import SearchStudy
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.slot_leases import Slots
from nas.search.storage.sql_tables import rungs as _rungs
from nas.search.storage.sql_tables import slots as _slots
from nas.search.storage.study_attributes import spec_json
from nas.study.study_spec import StudySpec

Row = dict[str, Any]

_SLOT_COLUMNS = ("slot", "attempt", "crashes", "genome_key", "state", "reason")
_RUNG_COLUMNS = ("epoch", "grouping", "macro_f1", "log10_params")
_DASHBOARD = "dashboard:"


@dataclass(frozen=True)
class StudySnapshot:
    """Study as plain values.

    Attributes:
        directions: Optuna's directions of the objectives, by name.
        attributes: User attributes; specification (`spec`) and data summary (`facts`) among them.
        system_attributes: Optuna's attributes, without the dashboard's.
        trials: One row a trial, in the order of the numbers; times are UTC.
        slots: One row a slot, with the number of its trial.
        rungs: One row a rung score, with the number of its trial.
    """

    directions: tuple[str, ...]
    attributes: Row
    system_attributes: Row
    trials: tuple[Row, ...]
    slots: tuple[Row, ...]
    rungs: tuple[Row, ...]

    @property
    def spec(self) -> StudySpec:
        """Specification of the study.

        Raises:
            ArchiveError: This version cannot read it.
        """
        try:
            return StudySpec.model_validate_json(self.attributes["spec"])
        except (KeyError, ValidationError) as error:
            raise ArchiveError("the study's specification is not one of this version of nas") from error

    @property
    def dataset_summary(self) -> DatasetSummary:
        """Summary of the study's data.

        Raises:
            ArchiveError: This version cannot read it.
        """
        try:
            return DatasetSummary.from_json(self.attributes["facts"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArchiveError("the study's data summary is not one of this version of nas") from error

    def with_spec(self, spec: StudySpec) -> StudySnapshot:
        """Return the snapshot with another specification."""
        return replace(self, attributes={**self.attributes, "spec": spec_json(spec)})


def read_snapshot(study: SearchStudy) -> StudySnapshot:
    """Read a study from the database."""
    optuna_study, engine = study.optuna_study, study.storage.rdb.engine
    with study.storage.translate_errors():
        trials = optuna_study.get_trials(deepcopy=False)
        numbers = {trial._trial_id: trial.number for trial in trials}
        with engine.connect() as connection:
            slots = connection.execute(
                select(*(_slots.c[name] for name in (*_SLOT_COLUMNS, "trial_id"))).where(_slots.c.study == study.name)
            ).all()
            rungs = connection.execute(
                select(*(_rungs.c[name] for name in (*_RUNG_COLUMNS, "trial_id"))).where(_rungs.c.study == study.name)
            ).all()
        system_attributes = study.storage.rdb.get_study_system_attrs(study.study_id)
        return StudySnapshot(
            directions=tuple(direction.name for direction in optuna_study.directions),
            attributes=dict(optuna_study.user_attrs),
            system_attributes=_without_dashboard(system_attributes),
            trials=tuple(_trial_row(trial) for trial in trials),
            slots=tuple(_numbered(row._asdict(), numbers) for row in sorted(slots, key=lambda row: int(row.slot))),
            rungs=tuple(_numbered(row._asdict(), numbers) for row in rungs if row.trial_id in numbers),
        )


def write_snapshot(storage: Storage, snapshot: StudySnapshot, name: str) -> None:
    """Write a study to the database under a name; a study of that name is replaced at once, in one transaction.

    Raises:
        StudyError: Workers hold leases of the study that would be replaced.
    """
    owners = Slots(storage.rdb.engine, name).owners()
    if owners:
        raise StudyError(f"{owners[0].name} trains study {name!r}; stop its workers first")
    partial = f"{name}~restored"
    with storage.translate_errors(), storage.creation_lock():
        _delete(storage, partial)
        study = optuna.create_study(
            storage=storage.rdb, study_name=partial, directions=[StudyDirection[one] for one in snapshot.directions]
        )
        for key, value in snapshot.system_attributes.items():
            storage.rdb.set_study_system_attr(study._study_id, key, value)
        for key, value in snapshot.attributes.items():
            study.set_user_attr(key, value)
        ids = [storage.rdb.create_new_trial(study._study_id, template_trial=_trial(row)) for row in snapshot.trials]
        with storage.rdb.engine.begin() as connection:
            replaced = _rename(connection, name, f"{name}~replaced")
            for table, rows in ((_slots, snapshot.slots), (_rungs, snapshot.rungs)):
                connection.execute(delete(table).where(table.c.study == name))
                if rows:
                    connection.execute(insert(table), [_with_id(row, ids) | {"study": name} for row in rows])
            _rename(connection, partial, name)
        if replaced:
            _delete(storage, f"{name}~replaced")


def _rename(connection: Connection, name: str, new_name: str) -> bool:
    statement = update(models.StudyModel).where(models.StudyModel.study_name == name).values(study_name=new_name)
    return connection.execute(statement).rowcount > 0


def _delete(storage: Storage, name: str) -> None:
    if any(study.study_name == name for study in storage.rdb.get_all_studies()):
        optuna.delete_study(study_name=name, storage=storage.rdb)


def _trial_row(trial: FrozenTrial) -> Row:
    return {
        "number": trial.number,
        "state": trial.state.name,
        "values": trial.values,
        "started": _utc(trial.datetime_start),
        "ended": _utc(trial.datetime_complete),
        "params": trial.params,
        "distributions": {name: json.loads(distribution_to_json(one)) for name, one in trial.distributions.items()},
        "attributes": trial.user_attrs,
        "system_attributes": _without_dashboard(trial.system_attrs),
    }


def _trial(row: Row) -> FrozenTrial:
    state = TrialState[row["state"]]
    trial = create_trial(
        state=TrialState.WAITING, user_attrs=row["attributes"], system_attrs=row["system_attributes"],
        params=row["params"],
        distributions={name: json_to_distribution(json.dumps(one)) for name, one in row["distributions"].items()},
    )  # fmt: skip
    # Set afterwards, since Optuna gives a trial that it makes complete the present time.
    trial.state, trial.values = state, row["values"]
    trial.datetime_start, trial.datetime_complete = _local(row["started"]), _local(row["ended"])
    return trial


def _numbered(row: Row, numbers: dict[int, int]) -> Row:
    return {**{key: value for key, value in row.items() if key != "trial_id"}, "trial": numbers.get(row["trial_id"])}


def _with_id(row: Row, ids: list[int]) -> Row:
    columns = {key: value for key, value in row.items() if key != "trial"}
    return {**columns, "trial_id": None if row["trial"] is None else ids[row["trial"]]}


def _without_dashboard(attributes: Row) -> Row:
    return {key: value for key, value in attributes.items() if not key.startswith(_DASHBOARD)}


def _utc(local: datetime | None) -> str | None:
    return None if local is None else local.astimezone(timezone.utc).isoformat()


def _local(utc: str | None) -> datetime | None:
    return None if utc is None else datetime.fromisoformat(utc).astimezone().replace(tzinfo=None)
