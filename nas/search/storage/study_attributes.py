"""Attributes of a stored study: objectives, specification and dataset summary."""

from __future__ import annotations

import json
from dataclasses import asdict

import optuna
from optuna.study import StudyDirection

from nas.results.dataset_summary import DatasetSummary
from nas.study.study_spec import StudySpec

_DIRECTIONS = {"macro_f1": StudyDirection.MAXIMIZE, "params": StudyDirection.MINIMIZE}
_METRIC_NAMES = {"macro_f1": "macro_f1", "params": "log10_params"}


def directions_of(spec: StudySpec) -> list[StudyDirection]:
    """Return the optimisation directions of a study's objectives."""
    return [_DIRECTIONS[objective] for objective in spec.objectives]


def store_specification(study: optuna.Study, spec: StudySpec, dataset_summary: DatasetSummary) -> None:
    """Store the specification, dataset summary and objective names of a new study."""
    # For the dashboard.
    study.set_metric_names([_METRIC_NAMES[objective] for objective in spec.objectives])
    study.set_user_attr("facts", json.dumps(asdict(dataset_summary)))
    study.set_user_attr("spec", spec_json(spec))


def spec_json(spec: StudySpec) -> str:
    """Serialise a specification on several lines, which limits the width of the dashboard's page."""
    return spec.model_dump_json(indent=1)
