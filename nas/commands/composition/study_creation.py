"""Checks and creation of a study before its trials, shared by the commands that create one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.commands.composition.application import Application
from nas.commands.composition.baseline_checks import check_baselines
from nas.commands.composition.budget_check import require_budget_met
from nas.commands.composition.grid_network_costs import grid_samples, lowest_grid_costs
from nas.commands.composition.network_timing import NetworkTimer
from nas.commands.composition.training_length import with_converted_length
from nas.errors import FaultyDataError, StudyError
from nas.results.dataset_summary import DatasetSummary
from nas.search.analysis.front_summary import summarize_front
from nas.search.create_study import create_study
from nas.search.distillation_teacher import Teacher, find_teacher, store_teacher, teacher_of
from nas.search.inherited_genomes import inherit_genomes
from nas.search.model_files_artifact import store_model_files
from nas.search.pretrained_weights_artifact import store_weights, stored_weights
from nas.search.sampling.first_trials import first_trials
from nas.search.search_study import SearchStudy
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.slot_conditions import BASELINE_SLOT, FIRST_OTHER_BASELINE_SLOT
from nas.space.genome import Genome
from nas.space.spelling import did_you_mean
from nas.study.distillation_spec import TrialReference
from nas.study.latency_file import latency_data_fault
from nas.study.score_definitions import class_of
from nas.study.start_tables import check_start
from nas.study.study_spec import StudySpec
from nas.worker.supervisor.trainer_client import TrainerClient
from nas.worker.supervisor.trainer_errors import MeasurementFailed
from nas.worker.trainer_messages import FindPrecision, Precision, Preview, SpacePreview

_SHOWN_CLASSES = 20


def require_all_used(dataset_summary: DatasetSummary) -> None:
    """Refuse a data set of which something is left out that no setting leaves out.

    Raises:
        FaultyDataError: What is left out, one line each.
    """
    inventory = dataset_summary.inventory
    if inventory is not None and inventory.faults:
        raise FaultyDataError(dataset_summary.name, inventory.faults)


def _print_data_account(application: Application, dataset_summary: DatasetSummary, spec: StudySpec) -> None:
    """Print one line on what was given and used, and one for each setting of the data that is not used."""
    inventory = dataset_summary.inventory
    lines = [f"data: {inventory.sentence}"] if inventory is not None and inventory.is_remarkable else []
    for line in (*lines, *(f"note: {note}" for note in spec.data_notes)):
        application.errors.print(line, markup=False, highlight=False, soft_wrap=True)


def create_checked_study(
    application: Application, spec: StudySpec, timer: NetworkTimer, weights: Path | None, *, strict: bool = False
) -> SearchStudy:
    """Validate everything possible before training, then create or open the study and its slots.

    Args:
        timer: Timer of the study's networks, with the study's trainer client.
        strict: Refuse a data set that is not used as a whole.
    """
    trainer = timer.trainer
    dataset_summary = trainer.open_data()
    if strict:
        require_all_used(dataset_summary)
    check_start(spec, dataset_summary.image_size)
    check_baselines(application, spec, trainer)
    require_fitting_data(spec, dataset_summary)
    require_budget_met(_lowest_costs(trainer, spec), spec)
    storage = application.connect(create_tables=True)
    teacher = None if _has_stored_teacher(storage, spec) else check_teacher(application, spec, dataset_summary, storage)
    is_new = spec.name not in storage.study_names()
    if is_new:
        timer.teacher = None if teacher is None else teacher.architecture
        # An existing study keeps its epochs.
        spec = with_converted_length(spec, dataset_summary, timer)
    pretrained = (
        None
        if weights is None and not is_new and stored_weights(SearchStudy.open(storage, spec.name)) is not None
        else application.find_weights(spec, trainer, weights)
    )
    is_open = spec.training.deterministic and spec.training.precision == "auto"
    study = create_study(
        storage, spec, dataset_summary, trainer.request(FindPrecision(), Precision).name if is_open else None,
        _initial_parameters(application, storage, spec, dataset_summary, trainer),
    )  # fmt: skip
    _print_data_account(application, dataset_summary, spec)
    if pretrained is not None:
        store_weights(study, pretrained, application.settings.data_folder)
    if teacher is not None:
        store_teacher(study, teacher)
    store_model_files(study, application.settings.data_folder.absolute())
    slots = application.slots(study)
    shared = spec.shared_weights
    slots.open_slots(
        spec.budget.trials, baseline=spec.baseline.enabled, elastic=spec.num_elastic,
        inherited=0 if shared is None else shared.inherited, other_baselines=len(spec.other_baselines),
    )  # fmt: skip
    summary = summarize_front(study)
    if summary.baseline_failure is not None:
        slots.reopen(BASELINE_SLOT)
    for place, baseline in enumerate(spec.other_baselines):
        if baseline.title in summary.failed_baselines:
            slots.reopen(FIRST_OTHER_BASELINE_SLOT + place)
    if study.spec.budget.trials > spec.budget.trials:
        application.errors.print(
            f"study {study.name!r} has a budget of {study.spec.budget.trials} trials already; it can only be raised"
        )
    return study


def _initial_parameters(
    application: Application,
    storage: Storage,
    spec: StudySpec,
    dataset_summary: DatasetSummary,
    trainer: TrainerClient,
) -> Sequence[Mapping[str, Any]] | None:
    """Return the parameters of a new study's first trials; None for a study that exists."""
    if spec.name in storage.study_names():
        return None
    size = dataset_summary.image_size
    inherited = inherit_genomes(storage, spec, size)
    if inherited is not None:
        application.errors.print(inherited.notice, markup=False, highlight=False, soft_wrap=True)
    return first_trials(spec, size, () if inherited is None else inherited.parameters, _limit_check(trainer, spec))


def _limit_check(trainer: TrainerClient, spec: StudySpec) -> Callable[[Genome], bool] | None:
    """Return a function that is True for genomes within all limits of the budget; None without a limit."""
    limits = spec.budget.limits
    if not limits:
        return None

    def is_within(genome: Genome) -> bool:
        try:
            return trainer.measure(genome.architecture).is_within(limits)
        except MeasurementFailed:
            return False

    return is_within


def check_teacher(
    application: Application, spec: StudySpec, dataset_summary: DatasetSummary, storage: Storage | None = None
) -> Teacher | None:
    """Find the trial of another study that is a study's teacher, and download its weights; None if it names none.

    Args:
        storage: Storage of the study; None to connect to one.

    Raises:
        NasError: The trial cannot teach the study, or its weights are missing.
    """
    reference = spec.distillation.teacher
    if not isinstance(reference, TrialReference):
        return None
    storage = storage or application.connect()
    teacher = find_teacher(storage, reference, dataset_summary)
    teacher.download(storage, application.settings.data_folder.absolute())
    for note in teacher.notes:
        application.errors.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    return teacher


def _has_stored_teacher(storage: Storage, spec: StudySpec) -> bool:
    """Return True if the study exists with a trial of another study stored as its teacher."""
    if not isinstance(spec.distillation.teacher, TrialReference) or spec.name not in storage.study_names():
        return False
    return teacher_of(SearchStudy.open(storage, spec.name)) is not None


def _lowest_costs(trainer: TrainerClient, spec: StudySpec) -> Mapping[str, float]:
    """Return the lowest costs of the networks by name; for a grid, all networks are built to find them."""
    if spec.search_space is not None:
        return trainer.request(Preview(spec.search_space, spec.budget.limits, num_samples=0), SpacePreview).lowest
    return lowest_grid_costs(grid_samples(trainer, spec), spec)


def require_fitting_data(spec: StudySpec, summary: DatasetSummary) -> None:
    """Reject a score of a class that the data do not have, and a latency file for other images.

    Raises:
        StudyError: The fault, in one line.
    """
    name = class_of(spec.pair.score)
    if name is not None and name not in summary.classes:
        known = ", ".join(summary.classes[:_SHOWN_CLASSES]) + ("…" if len(summary.classes) > _SHOWN_CLASSES else "")
        raise StudyError(
            f"study {spec.name!r}: objectives: no class {name!r} in {summary.name}{did_you_mean(name, summary.classes)}"
            f"; classes: {known}"
        )
    image = summary.channels, summary.height, summary.width
    fault = latency_data_fault(spec.costs.latency, image, len(summary.classes))
    if fault is not None:
        raise StudyError(f"study {spec.name!r}: {fault}")
