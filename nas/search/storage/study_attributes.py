"""Attributes of a stored study: objectives, specification and dataset summary."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import optuna
from optuna.study import StudyDirection

from nas.errors import StudyError
from nas.results.dataset_summary import DatasetSummary
from nas.study.data_spec import OWN_SOURCES
from nas.study.study_spec import StudySpec

_DIRECTIONS = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)
"""Of a score and a cost."""


def directions_of(spec: StudySpec) -> list[StudyDirection]:
    """Return the optimisation directions of a study's objectives."""
    return list(_DIRECTIONS[: len(spec.objectives)])


def store_specification(
    study: optuna.Study,
    spec: StudySpec,
    dataset_summary: DatasetSummary,
    initial_parameters: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Store the specification, dataset summary, objective names and first trials' parameters of a new study."""
    # For the dashboard.
    score, *costs = spec.objectives
    study.set_metric_names([score, *(f"log10_{cost}" for cost in costs)])
    store_dataset_summary(study, dataset_summary)
    study.set_user_attr("spec", spec_json(spec))
    for parameters in initial_parameters:
        study.enqueue_trial(dict(parameters))


def require_same_study(
    stored: StudySpec, given: StudySpec, stored_data: DatasetSummary, given_data: DatasetSummary
) -> None:
    """Reject another specification, or other data, under the name of a stored study.

    Equal images may be elsewhere, in a folder or a file. For a study of an earlier version, which has no hash of its
    images, equality is known of class counts and statistics alone.

    Raises:
        StudyError: They differ; all differences are listed.
    """
    movable = {"data.leaks"} if stored_data.content is None else set()
    if stored_data.has_same_images(given_data):
        movable |= {"data.path", "data.source", "data.leaks"}
    data_differences = stored_data.differences(given_data)
    differences = stored.differences(given, movable)
    changed_keys = {difference.partition(":")[0] for difference in differences}
    if data_differences and changed_keys <= {"data.path", "data.source"}:
        raise StudyError(
            f"study {given.name!r}: its images have changed, and its trials are comparable on the former ones alone; "
            "restore them, or begin a study of another name (--name):\n"
            + "\n".join(f"  {difference}" for difference in (*data_differences, *differences))
        )
    if differences:
        raise StudyError(
            f"study {given.name!r} exists with another specification; give this one another name (--name):\n"
            + "\n".join(f"  {difference}" for difference in differences)
        )


def store_dataset_summary(study: optuna.Study, dataset_summary: DatasetSummary) -> None:
    """Store a dataset summary, with few names in its inventory."""
    study.set_user_attr("facts", json.dumps(asdict(dataset_summary.as_stored())))


def stored_specification(text: str) -> StudySpec:
    """Parse the specification of a stored study; one of an earlier version keeps images that equal test images.

    Raises:
        ValidationError: The text is not of this version, nor of an earlier one.
    """
    tables = json.loads(text)
    data = tables.get("data", {})
    if data.get("source") in OWN_SOURCES:
        data.setdefault("leaks", "keep")
    return StudySpec.model_validate_json(json.dumps(tables))


def spec_json(spec: StudySpec) -> str:
    """Serialise a specification on several lines, which limits the width of the dashboard's page."""
    return spec.model_dump_json(indent=1)
