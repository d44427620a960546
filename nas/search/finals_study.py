"""The finals of a study as a study of their own: the same workers train its runs, and no fault loses one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import optuna

from nas.errors import StudyError
from nas.results.test_predictions import Predictions
from nas.search.pretrained_weights import share_weights_with_finals
from nas.search.search_study import SearchStudy
from nas.search.storage.study_attributes import directions_of, specify
from nas.search.storage.trial_records import TrialRecord
from nas.study.finals_spec import FinalRun, FinalsSpec
from nas.study.study_spec import EarlyStoppingSpec, StudySpec

SUFFIX = "-finals"


def finals_name(study: str) -> str:
    """The name of a study's finals."""
    return study + SUFFIX


def find_finals(study: SearchStudy) -> SearchStudy | None:
    """The finals of a study, if there are some.

    Raises:
        StudyError: A study of their name is something else.
    """
    name = finals_name(study.name)
    if name not in study.storage.study_names():
        return None
    found = SearchStudy.open(study.storage, name)
    if found.spec.finals is None or found.spec.finals.study != study.name:
        raise StudyError(f"study {name!r} is in the way of the finals of {study.name!r}: it is a search of its own")
    return found


def add_runs(study: SearchStudy, runs: Sequence[FinalRun]) -> SearchStudy:
    """Create the finals of a study, or give them what is missing of these runs.

    Raises:
        StudyError: As `find_finals`.
    """
    storage = study.storage
    with storage.explained(), storage.one_creator():
        finals = find_finals(study)
        known = () if finals is None or finals.spec.finals is None else finals.spec.finals.runs
        identities = {run.identity for run in known}
        new = {run.identity: run for run in runs if run.identity not in identities}
        spec = _spec_of(study.spec, (*known, *new.values()))
        if finals is None:
            created = optuna.create_study(
                storage=storage.rdb, study_name=spec.name, directions=directions_of(spec), load_if_exists=True
            )
            specify(created, spec, study.facts)
        else:
            finals.replace_spec(spec)
    companion = SearchStudy.open(storage, spec.name)
    share_weights_with_finals(study, companion)
    return companion


def read_predictions(study: SearchStudy, records: Sequence[TrialRecord]) -> dict[int, Predictions]:
    """What those of a study's trials that are runs of finals said of the test images, by their numbers.

    A run whose result is another one's, of an equal network and seed, has its file as well, which is read once.

    Raises:
        StudyError: A file is not where the study says.
    """
    found: dict[str, Predictions] = {}
    with tempfile.TemporaryDirectory(prefix="nas-") as folder:
        for record in records:
            if record.predictions is not None and record.predictions not in found:
                path = Path(folder) / f"{record.number}.safetensors"
                study.storage.download(record.predictions, path, f"the predictions of trial {record.number}")
                found[record.predictions] = Predictions.load(path)
    return {record.number: found[record.predictions] for record in records if record.predictions is not None}


def _spec_of(searched: StudySpec, runs: tuple[FinalRun, ...]) -> StudySpec:
    """As the study, for as many trainings as there are runs, and none is stopped or over its budget."""
    budget = searched.budget.model_copy(update={"trials": len(runs), "max_params": None})
    return searched.model_copy(
        update={
            "name": finals_name(searched.name),
            "budget": budget,
            "early_stopping": EarlyStoppingSpec(enabled=False),
            "finals": FinalsSpec(study=searched.name, runs=runs),
        }
    )
