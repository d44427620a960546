"""The finals of a study as a study of their own: the same workers train its runs, and no fault loses one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import optuna

from nas.errors import StudyError
from nas.final_runs import FinalRun, FinalsSpec
from nas.search.pretrained import share_weights
from nas.search.storage import Storage
from nas.search.study import DIRECTIONS, SearchStudy, name_metrics
from nas.study_spec import EarlyStoppingSpec, StudySpec

SUFFIX = "-finals"


def finals_name(study: str) -> str:
    """The name of a study's finals."""
    return study + SUFFIX


def find_finals(storage: Storage, study: SearchStudy) -> SearchStudy | None:
    """The finals of a study, if there are some.

    Raises:
        StudyError: A study of their name is something else.
    """
    name = finals_name(study.name)
    if name not in storage.study_names():
        return None
    found = SearchStudy.open(storage, name)
    if found.spec.finals is None or found.spec.finals.study != study.name:
        raise StudyError(f"study {name!r} is in the way of the finals of {study.name!r}: it is a search of its own")
    return found


def add_runs(storage: Storage, study: SearchStudy, runs: Sequence[FinalRun]) -> SearchStudy:
    """Create the finals of a study, or give them what is missing of these runs.

    Raises:
        StudyError: As `find_finals`, or the search has other images by now.
    """
    with storage.explained(), storage.one_creator():
        finals = find_finals(storage, study)
        known = () if finals is None or finals.spec.finals is None else finals.spec.finals.runs
        identities = {run.identity for run in known}
        merged = (*known, *(run for run in runs if run.identity not in identities))
        spec = _spec_of(study.spec, merged)
        if finals is None:
            created = optuna.create_study(
                storage=storage.rdb, study_name=spec.name, directions=DIRECTIONS, load_if_exists=True
            )
            name_metrics(created)
            created.set_user_attr("facts", json.dumps(asdict(study.facts)))
            created.set_user_attr("spec", spec.model_dump_json(indent=1))
        else:
            finals.replace_spec(spec)
    companion = SearchStudy.open(storage, spec.name)
    share_weights(study, companion)
    return companion


def _spec_of(searched: StudySpec, runs: tuple[FinalRun, ...]) -> StudySpec:
    """As the study, for as many trainings as there are runs, and none is stopped or over its budget."""
    # As in a search the baseline's slot is not counted.
    budget = searched.budget.model_copy(update={"trials": max(1, len(runs) - 1), "max_params": None})
    return searched.model_copy(
        update={
            "name": finals_name(searched.name),
            "budget": budget,
            "early_stopping": EarlyStoppingSpec(enabled=False),
            "finals": FinalsSpec(study=searched.name, runs=runs),
        }
    )
