"""Pretrained weights of a study: uploaded once to the artifact store, downloaded by each machine."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

from nas.errors import SettingsError, StudyError
from nas.results.pretrained_weights_id import PretrainedWeights
from nas.search.search_study import SearchStudy

_ATTRIBUTE = "pretrained"


def stored_weights(study: SearchStudy) -> PretrainedWeights | None:
    """Return the description of a study's pretrained weights; None if it has none."""
    stored = study.optuna_study.user_attrs.get(_ATTRIBUTE)
    return None if stored is None else PretrainedWeights(**json.loads(stored)["weights"])


def store_weights(study: SearchStudy, weights: PretrainedWeights, data_folder: Path) -> None:
    """Upload pretrained weights from the data folder to the study's artifact store.

    Raises:
        StudyError: The study has other pretrained weights.
        SettingsError: The artifact store cannot be written to.
    """
    stored = stored_weights(study)
    if stored is None:
        artifact = study.storage.store_file(weights.path(data_folder), study.optuna_study)
        study.optuna_study.set_user_attr(_ATTRIBUTE, json.dumps({"weights": asdict(weights), "artifact": artifact}))
    elif stored.sha256 != weights.sha256:
        raise StudyError(
            f"study {study.name!r} keeps other pretrained weights, from {stored.origin} "
            f"(SHA-256 {stored.sha256[:16]}…), than {weights.origin} "
            f"({weights.sha256[:16]}…); leave --weights out, or give the study another --name"
        )


def share_weights_with_finals(study: SearchStudy, finals: SearchStudy) -> None:
    """Refer the finals study to the pretrained weights of its search, if any."""
    stored = study.optuna_study.user_attrs.get(_ATTRIBUTE)
    if stored is not None:
        finals.optuna_study.set_user_attr(_ATTRIBUTE, stored)


def fetch_weights(study: SearchStudy, data_folder: Path) -> Path | None:
    """Return the path of a study's pretrained weights in the data folder, downloaded if missing; None if it has none.

    Raises:
        StudyError: They are missing in the artifact store, or differ from those that the study was created with.
        SettingsError: The data folder cannot be written to.
    """
    stored = stored_weights(study)
    if stored is None:
        return None
    path = stored.path(data_folder)
    if path.is_file() and _sha256(path) == stored.sha256:
        return path
    partial = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        artifact = json.loads(study.optuna_study.user_attrs[_ATTRIBUTE])["artifact"]
        study.storage.download(artifact, partial, f"the pretrained weights of study {study.name!r}")
        if _sha256(partial) != stored.sha256:
            raise StudyError(f"the pretrained weights of study {study.name!r} in the artifact store are damaged")
        partial.replace(path)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written ({error.strerror or error}); set NAS_DATA") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
