"""The pretrained weights that a study keeps: put into the artifact store once, and fetched by each machine."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

from nas.errors import SettingsError, StudyError
from nas.results.pretrained_weights import PretrainedWeights
from nas.search.search_study import SearchStudy

_ATTRIBUTE = "pretrained"


def stored_weights(study: SearchStudy) -> PretrainedWeights | None:
    """What a study keeps; None where it keeps none."""
    kept = study.optuna_study.user_attrs.get(_ATTRIBUTE)
    return None if kept is None else PretrainedWeights(**json.loads(kept)["weights"])


def store_weights(study: SearchStudy, weights: PretrainedWeights, data_folder: Path) -> None:
    """Have a study keep weights that lie in the data folder.

    Raises:
        StudyError: It keeps other ones.
        SettingsError: The artifact store cannot be written to.
    """
    kept = stored_weights(study)
    if kept is None:
        artifact = study.storage.keep_file(weights.path(data_folder), study.optuna_study)
        study.optuna_study.set_user_attr(_ATTRIBUTE, json.dumps({"weights": asdict(weights), "artifact": artifact}))
    elif kept.sha256 != weights.sha256:
        raise StudyError(
            f"study {study.name!r} keeps other pretrained weights, from {kept.origin} (SHA-256 {kept.sha256[:16]}…), "
            f"than {weights.origin} ({weights.sha256[:16]}…); leave --weights out, or give the study another --name"
        )


def share_weights_with_finals(study: SearchStudy, companion: SearchStudy) -> None:
    """Have the finals of a study begin with the weights that it keeps, if any."""
    kept = study.optuna_study.user_attrs.get(_ATTRIBUTE)
    if kept is not None:
        companion.optuna_study.set_user_attr(_ATTRIBUTE, kept)


def fetch_weights(study: SearchStudy, data_folder: Path) -> Path | None:
    """The file of a study's pretrained weights in the data folder, fetched if need be; None where it keeps none.

    Raises:
        StudyError: They are not in the artifact store, or not those that the study was created with.
        SettingsError: The data folder cannot be written to.
    """
    kept = stored_weights(study)
    if kept is None:
        return None
    path = kept.path(data_folder)
    if path.is_file() and _sha256(path) == kept.sha256:
        return path
    partial = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        artifact = json.loads(study.optuna_study.user_attrs[_ATTRIBUTE])["artifact"]
        study.storage.download(artifact, partial, f"the pretrained weights of study {study.name!r}")
        if _sha256(partial) != kept.sha256:
            raise StudyError(f"the pretrained weights of study {study.name!r} in the artifact store are damaged")
        partial.replace(path)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written ({error.strerror or error}); set NAS_DATA") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
