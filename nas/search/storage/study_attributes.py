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
from nas.study.study_spec import StudySpec

_DIRECTIONS = {"macro_f1": StudyDirection.MAXIMIZE, "params": StudyDirection.MINIMIZE}
_METRIC_NAMES = {"macro_f1": "macro_f1", "params": "log10_params"}


def directions_of(spec: StudySpec) -> list[StudyDirection]:
    """Return the optimisation directions of a study's objectives."""
    return [_DIRECTIONS[objective] for objective in spec.objectives]


def store_specification(
    study: optuna.Study,
    spec: StudySpec,
    dataset_summary: DatasetSummary,
    initial_parameters: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Store the specification, dataset summary, objective names and first trials' parameters of a new study."""
    # For the dashboard.
    study.set_metric_names([_METRIC_NAMES[objective] for objective in spec.objectives])
    study.set_user_attr("facts", json.dumps(asdict(dataset_summary)))
    study.set_user_attr("spec", spec_json(spec))
    for parameters in initial_parameters:
        study.enqueue_trial(dict(parameters))


def require_same_study(
    stored: StudySpec, given: StudySpec, stored_data: DatasetSummary, given_data: DatasetSummary
) -> None:
    """Reject another specification, or other data, under the name of a stored study.

    Raises:
        StudyError: They differ; all differences are listed.
    """
    differences = stored.differences(given) or stored_data.differences(given_data)
    if differences:
        raise StudyError(
            f"study {given.name!r} exists with another specification; give this one another name (--name):\n"
            + "\n".join(f"  {difference}" for difference in differences)
        )


def spec_json(spec: StudySpec) -> str:
    """Serialise a specification on several lines, which limits the width of the dashboard's page."""
    return spec.model_dump_json(indent=1)
