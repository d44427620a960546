"""Creation of a study in storage, or opening of the one that exists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from nas.results.dataset_summary import DatasetSummary
from nas.search.sampling.first_trials import first_trials
from nas.search.search_study import SearchStudy
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.study_attributes import (
    directions_of,
    require_same_study,
    store_dataset_summary,
    store_specification,
)
from nas.study.study_spec import StudySpec
from nas.study.training_spec import PrecisionName


def create_study(
    storage: Storage,
    spec: StudySpec,
    dataset_summary: DatasetSummary,
    precision: PrecisionName | None = None,
    initial_parameters: Sequence[Mapping[str, Any]] | None = None,
) -> SearchStudy:
    """Create a study, or open the one of that name if its specification is the same.

    Args:
        precision: Precision of a deterministic study whose file names none; it is fixed when the study is created, as
            are the epochs of a budget in minutes, which the caller converts for a new study.
        initial_parameters: Parameters of a new study's first trials; None for those of the specification alone.

    Raises:
        StudyError: A study of that name exists with another specification, or its data have changed.
    """
    if initial_parameters is None:
        initial_parameters = first_trials(spec, dataset_summary.image_size)
    spec = spec.with_images_converted(dataset_summary.num_train)
    with storage.translate_errors(), storage.creation_lock():
        study = optuna.create_study(
            storage=storage.rdb, study_name=spec.name, directions=directions_of(spec), load_if_exists=True
        )
        # Without trials and specification the study is new, or its creation was interrupted.
        if "spec" not in study.user_attrs and not study.get_trials(deepcopy=False):
            assert spec.budget.epochs, "minutes are converted before a study is created"
            fixed = spec if precision is None else spec.with_precision(precision)
            store_specification(study, fixed, dataset_summary, initial_parameters)
    existing = SearchStudy.open(storage, spec.name)
    if precision is not None:
        spec = spec.with_precision(existing.spec.training.precision)
    require_same_study(existing.spec, spec, existing.dataset_summary, dataset_summary)
    if existing.dataset_summary.content is None:
        # Of an earlier version: from now on the images are known by their hashes.
        store_dataset_summary(existing.optuna_study, dataset_summary)
        existing.dataset_summary = dataset_summary.as_stored()
    updated = existing.spec.updated_by(spec)
    if updated != existing.spec:
        existing.replace_spec(updated)
        # With the wait for the database that the new specification asks for.
        existing = SearchStudy.open(storage, spec.name)
    return existing
