"""Model files among a study's baselines: uploaded once to the artifact store, downloaded by each machine."""

from __future__ import annotations

import json
from pathlib import Path

from nas.errors import StudyError
from nas.search.search_study import SearchStudy
from nas.space.reference_models import FileArchitecture
from nas.study.baseline_files import file_sha256
from nas.study.study_spec import StudySpec

_ATTRIBUTE = "model_files"


def model_files(spec: StudySpec) -> list[FileArchitecture]:
    """Return the model files among a study's baselines."""
    architectures = [one.architecture for one in spec.baselines]
    return [one for one in architectures if isinstance(one, FileArchitecture)]


def store_model_files(study: SearchStudy, data_folder: Path) -> None:
    """Upload the model files from the data folder to the study's artifact store, those that it lacks.

    Raises:
        SettingsError: The artifact store cannot be written to.
    """
    stored = _stored(study)
    missing = [file for file in model_files(study.spec) if file.sha256 not in stored]
    if missing:
        added = {file.sha256: study.storage.store_file(file.path(data_folder), study.optuna_study) for file in missing}
        study.optuna_study.set_user_attr(_ATTRIBUTE, json.dumps(stored | added))


def share_model_files_with_finals(study: SearchStudy, finals: SearchStudy) -> None:
    """Refer the finals study to the model files of its search, if any."""
    stored = study.optuna_study.user_attrs.get(_ATTRIBUTE)
    if stored is not None:
        finals.optuna_study.set_user_attr(_ATTRIBUTE, stored)


def fetch_model_files(study: SearchStudy, data_folder: Path) -> None:
    """Put a study's model files into the data folder, downloaded if missing.

    Raises:
        StudyError: A file is missing in the artifact store, or damaged.
        SettingsError: The data folder cannot be written to.
    """
    stored = _stored(study)
    for file in model_files(study.spec):
        path = file.path(data_folder)
        if file.sha256 in stored:
            study.storage.download_once(stored[file.sha256], path, f"the model file of baseline {file.name!r}")
        if not path.is_file() or file_sha256(path) != file.sha256:
            raise StudyError(
                f"baseline {file.name!r} of study {study.name!r}: its model file is missing or damaged in the artifact "
                f"store or at {path}; delete the latter, if any"
            )


def model_file_artifact(study: SearchStudy, file: FileArchitecture) -> str | None:
    """Return the artifact identifier of a model file; None before it is stored."""
    return _stored(study).get(file.sha256)


def _stored(study: SearchStudy) -> dict[str, str]:
    """Artifact identifiers by SHA-256."""
    stored: dict[str, str] = json.loads(study.optuna_study.user_attrs.get(_ATTRIBUTE, "{}"))
    return stored
