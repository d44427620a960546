"""Finals study: a second study for the final runs of a search, with the same workers and fault tolerance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import optuna

from nas.data.filesystem.folder_check import new_temporary_folder
from nas.errors import ModelFileError, StudyError
from nas.results.predictions_on_test_images import Predictions
from nas.search.distillation_teacher import required_teacher, store_teacher
from nas.search.model_files_artifact import share_model_files_with_finals
from nas.search.pretrained_weights_artifact import share_weights_with_finals
from nas.search.search_study import SearchStudy
from nas.search.storage.study_attributes import directions_of, store_specification
from nas.search.storage.trial_records import TrialRecord
from nas.study.early_stopping_spec import EarlyStoppingSpec
from nas.study.final_runs import FinalsSpec
from nas.study.stop_spec import StopSpec
from nas.study.study_name import FINALS_SUFFIX
from nas.study.study_spec import StudySpec


def finals_name(study: str) -> str:
    """Return the name of a study's finals study."""
    return study + FINALS_SUFFIX


def find_finals(study: SearchStudy) -> SearchStudy | None:
    """Open the finals study of a study; None if there is none.

    Raises:
        StudyError: The study of that name is not the finals of this one.
    """
    name = finals_name(study.name)
    if name not in study.storage.study_names():
        return None
    finals = SearchStudy.open(study.storage, name)
    if finals.spec.finals is None or finals.spec.finals.study != study.name:
        raise StudyError(f"study {name!r} is in the way of the finals of {study.name!r}: it is a search of its own")
    return finals


def store_finals(study: SearchStudy, planned: FinalsSpec) -> SearchStudy:
    """Create the finals study, or add the runs and the tests that it lacks.

    Raises:
        StudyError: See `find_finals`; or the baseline that should teach the runs has no result; or another command has
            chosen other finalists in the meantime.
    """
    storage = study.storage
    teacher = None if study.spec.distillation.teacher is None else required_teacher(study)
    with storage.translate_errors(), storage.creation_lock():
        finals = find_finals(study)
        known = None if finals is None else finals.spec.finals
        if known is not None and known.awaits_finalists and not planned.awaits_finalists:
            known = known.with_sequence(planned.sequence)
        if known is not None and known.sequence != planned.sequence:
            raise StudyError(f"the finals of {study.name!r} have other finalists by now: the same command again")
        merged = planned if known is None else known.with_runs(planned.runs)
        for look in planned.looks:
            merged = merged.with_look(look)
        spec = _finals_specification(study.spec, merged)
        if finals is None:
            created = optuna.create_study(
                storage=storage.rdb, study_name=spec.name, directions=directions_of(spec), load_if_exists=True
            )
            store_specification(created, spec, study.dataset_summary)
        else:
            finals.replace_spec(spec)
    finals_study = SearchStudy.open(storage, spec.name)
    share_weights_with_finals(study, finals_study)
    share_model_files_with_finals(study, finals_study)
    if teacher is not None:
        store_teacher(finals_study, teacher)
    return finals_study


def read_predictions(
    study: SearchStudy, records: Sequence[TrialRecord], on_damage: Callable[[TrialRecord, str], None] | None = None
) -> dict[int, Predictions]:
    """Load the test-image predictions of final runs, by trial number.

    A duplicate, of an equal network and seed, refers to the file of the trained run; each file is read once.

    Args:
        on_damage: Called with each run whose file is missing or damaged, and one line about it; the run is left out.

    Raises:
        StudyError: Without `on_damage`, a file is not in the artifact store, or damaged.
    """
    by_artifact: dict[str, Predictions] = {}
    lost = set[str]()
    with new_temporary_folder() as folder:
        for record in records:
            if record.predictions is None or record.predictions in by_artifact or record.predictions in lost:
                continue
            try:
                by_artifact[record.predictions] = _read(study, record.predictions, record.number, folder)
            except (StudyError, ModelFileError) as error:
                if on_damage is None:
                    raise
                lost.add(record.predictions)
                on_damage(record, str(error))
    return {one.number: by_artifact[one.predictions] for one in records if one.predictions in by_artifact}


def damaged_runs(study: SearchStudy) -> dict[int, str]:
    """Return the runs whose results cannot be used since the predictions are missing or damaged, with one line each.

    A run that was trained again counts by its last training.
    """
    records, damaged = [one for one in study.records() if one.objectives is not None], dict[int, str]()
    newest = {one.run: one.number for one in records}

    def note(record: TrialRecord, text: str) -> None:
        if record.run is not None and newest[record.run] == record.number:
            damaged[record.run] = text

    read_predictions(study, records, note)
    return damaged


def _read(study: SearchStudy, artifact: str, number: int, folder: Path) -> Predictions:
    description, path = f"the predictions of trial {number} of {study.name!r}", folder / f"{number}.safetensors"
    study.storage.download(artifact, path, description)
    try:
        return Predictions.load(path)
    except ModelFileError as error:
        # The path in its message is that of the copy.
        raise ModelFileError(f"{description} are damaged: {study.storage.artifact_folder / artifact}") from error


def _finals_specification(search_spec: StudySpec, finals: FinalsSpec) -> StudySpec:
    """Specification of the search with a trial for each run, all trained to the end whatever they cost."""
    budget = search_spec.budget.without_limits().model_copy(update={"trials": len(finals.runs)})
    return search_spec.model_copy(
        update={
            "name": finals_name(search_spec.name),
            "budget": budget,
            "early_stopping": EarlyStoppingSpec(enabled=False),
            "stop": StopSpec(),
            "finals": finals,
        }
    )
