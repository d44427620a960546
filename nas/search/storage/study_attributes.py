"""What optuna keeps of a study beside its trials: its objectives, its specification, and its data in numbers."""

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
    """Of a study's objectives."""
    return [_DIRECTIONS[objective] for objective in spec.objectives]


def specify(study: optuna.Study, spec: StudySpec, facts: DatasetSummary) -> None:
    """Write down what a new study is."""
    # Names for the dashboard.
    study.set_metric_names([_METRIC_NAMES[objective] for objective in spec.objectives])
    study.set_user_attr("facts", json.dumps(asdict(facts)))
    study.set_user_attr("spec", text_of(spec))


def text_of(spec: StudySpec) -> str:
    """In lines, for the dashboard's page would else be as wide as the whole specification."""
    return spec.model_dump_json(indent=1)
