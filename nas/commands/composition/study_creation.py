"""Checks and creation of a study before its trials, shared by the commands that create one."""

from __future__ import annotations

from pathlib import Path

from nas.commands.composition.application import Application, require_budget_met
from nas.commands.composition.grid_network_costs import grid_samples
from nas.search.analysis.front_summary import summarize_front
from nas.search.pretrained_weights_artifact import store_weights, stored_weights
from nas.search.search_study import SearchStudy
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.slot_leases import BASELINE_SLOT
from nas.study.study_spec import StudySpec
from nas.worker.supervisor.trainer_client import TrainerClient
from nas.worker.trainer_messages import FindPrecision, Precision, Preview


def create_checked_study(
    application: Application, spec: StudySpec, trainer: TrainerClient, weights: Path | None
) -> SearchStudy:
    """Validate everything possible before training, then create or open the study and its slots."""
    dataset_summary = trainer.open_data()
    require_budget_met(_smallest_params(trainer, spec), spec)
    storage = application.connect(create_tables=True)
    pretrained = (
        None
        if weights is None and _has_stored_weights(storage, spec)
        else application.find_weights(spec, trainer, weights)
    )
    is_open = spec.training.deterministic and spec.training.precision == "auto"
    study = SearchStudy.create(
        storage, spec, dataset_summary, trainer.request(FindPrecision(), Precision).name if is_open else None
    )
    if pretrained is not None:
        store_weights(study, pretrained, application.settings.data_folder)
    slots = application.slots(study.name)
    slots.open_slots(spec.budget.trials, baseline=spec.baseline.enabled)
    if summarize_front(study).baseline_failure is not None:
        slots.reopen(BASELINE_SLOT)
    if study.spec.budget.trials > spec.budget.trials:
        application.errors.print(
            f"study {study.name!r} has a budget of {study.spec.budget.trials} trials already; it can only be raised"
        )
    return study


def _smallest_params(trainer: TrainerClient, spec: StudySpec) -> int:
    """Return the parameter count of the smallest network; for a grid, all networks are built to find it."""
    if spec.search_space is not None:
        return trainer.preview(Preview(spec.search_space, spec.budget.max_params, num_samples=0)).smallest.cost.params
    return min(sample.cost.params for sample in grid_samples(trainer, spec).values())


def _has_stored_weights(storage: Storage, spec: StudySpec) -> bool:
    """Return True if the study exists with its pretrained weights stored."""
    return spec.name in storage.study_names() and stored_weights(SearchStudy.open(storage, spec.name)) is not None
