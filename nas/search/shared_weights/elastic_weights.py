"""Weights of elastic networks: files of the artifact store, kept in the data folder of each worker."""

from __future__ import annotations

from pathlib import Path

from nas.errors import StudyError
from nas.search.search_study import SearchStudy


def fetch_elastic_weights(study: SearchStudy, data_folder: Path, number: int) -> Path:
    """Return the path of an elastic network's weights in the data folder, downloaded if missing.

    Args:
        number: Number of the trial that trained it.

    Raises:
        StudyError: The trial has no weights, or the file is not in the artifact store.
        SettingsError: The data folder cannot be written to.
    """
    record = study.record(number)
    if record.weights is None:
        raise StudyError(f"trial {number} of {study.name!r} has no weights of an elastic network")
    path = data_folder / "elastic" / f"{record.weights}.checkpoint"
    what = f"the weights of the elastic network, trial {number} of {study.name!r},"
    return study.storage.download_once(record.weights, path, what)
