"""Commands `search`, `create` and `worker`: create a study and run its trials."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.commands.composition.application import Application, require_budget_met
from nas.commands.composition.grid_cost_preview import grid_samples
from nas.commands.composition.run_trials import LogFormat, WorkerPlan, exit_process, new_run_control, run_trials
from nas.commands.shared_options import (
    Channels,
    DataPath,
    FileArgument,
    ImageSize,
    Json,
    Quick,
    StudyName,
    Timeout,
    Trials,
    WeightsFile,
    Workers,
    load_spec,
    name_of,
)
from nas.errors import StudyError
from nas.report.tables.grid_tables import settings_table
from nas.report.terminal.study_tables import dataset_table, front_table, terminal_table
from nas.search.analysis.front_summary import summarize_front
from nas.search.analysis.grid_results import gather_settings
from nas.search.analysis.study_status import study_status
from nas.search.pretrained_weights import store_weights, stored_weights
from nas.search.search_study import SearchStudy
from nas.search.storage.optuna_storage import Storage
from nas.search.storage.slot_leases import BASELINE_SLOT
from nas.study.study_spec import StudySpec
from nas.worker.supervisor.trainer_client import TrainerClient
from nas.worker.trainer_messages import Preview

LogFormatOption = Annotated[
    LogFormat, typer.Option(help="Progress as text, or as JSON with one object per line and event.")
]


def search(
    context: typer.Context,
    file: FileArgument,
    workers: Workers = None,
    trials: Trials = None,
    timeout: Timeout = None,
    data: DataPath = None,
    image_size: ImageSize = None,
    channels: Channels = None,
    name: StudyName = None,
    weights: WeightsFile = None,
    quick: Quick = False,
    json: Json = False,
) -> None:
    """Create or resume a study, train its baseline, search, and show the front against the baseline."""
    application: Application = context.obj
    spec = load_spec(file, data, name, trials, image_size=image_size, channels=channels, quick=quick)
    control = new_run_control(application)
    plan = WorkerPlan(workers or application.num_slots, timeout, quiet=json)
    trainer = plan.new_trainer(application, spec, 0, control)
    try:
        study = _create(application, spec, trainer, weights)
        if not json:
            application.console.print(dataset_table(study.dataset_summary))
        all_ended = run_trials(application, study, control, plan, first_trainer=trainer)
    finally:
        trainer.close()
    if not all_ended:
        exit_process(130)
    _print_results(application, study, json=json)
    if control.stop.is_set():
        raise typer.Exit(130)


def create(
    context: typer.Context,
    file: FileArgument,
    trials: Trials = None,
    data: DataPath = None,
    image_size: ImageSize = None,
    channels: Channels = None,
    name: StudyName = None,
    weights: WeightsFile = None,
    quick: Quick = False,
    baseline: Annotated[bool, typer.Option("--baseline", help="Train the baseline as well.")] = False,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Check a study and create it, for workers to join; trains nothing, or the baseline alone."""
    application: Application = context.obj
    spec = load_spec(file, data, name, trials, image_size=image_size, channels=channels, quick=quick)
    control = new_run_control(application, baseline_only=baseline)
    plan = WorkerPlan(1, log_format=log_format)
    trainer = plan.new_trainer(application, spec, 0, control)
    try:
        study = _create(application, spec, trainer, weights)
        if baseline and not run_trials(application, study, control, plan, first_trainer=trainer):
            exit_process(130)
    finally:
        trainer.close()
    if control.stop.is_set():
        raise typer.Exit(130)
    if baseline:
        _require_baseline(study)
    status = study_status(study, application.slots(study.name))
    application.print_line(
        f"study {study.name!r} is ready: {status.done} of {status.budget} trials done; "
        f"start workers with: nas worker {study.name}"
    )


def worker(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A study's name, or its file.")],
    timeout: Timeout = None,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Train trials of a study until its budget is spent; any number of workers may run, on any machine."""
    application: Application = context.obj
    control = new_run_control(application)
    study = application.open_study(name_of(name))
    plan = WorkerPlan(application.num_slots, timeout, log_format)
    if not run_trials(application, study, control, plan):
        exit_process(0)
    if log_format is LogFormat.TEXT and not control.stop.is_set():
        finals = study.spec.finals
        application.print_line(_verdict(study) if finals is None else f"Results: nas finals {finals.study}")


def _create(application: Application, spec: StudySpec, trainer: TrainerClient, weights: Path | None) -> SearchStudy:
    """Validate everything possible before training, then create or open the study and its slots."""
    dataset_summary = trainer.open_data()
    require_budget_met(_smallest_params(trainer, spec), spec)
    storage = application.connect(create_tables=True)
    pretrained = (
        None
        if weights is None and _has_stored_weights(storage, spec)
        else application.find_weights(spec, trainer, weights)
    )
    study = SearchStudy.create(storage, spec, dataset_summary)
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


def _require_baseline(study: SearchStudy) -> None:
    if not study.spec.baseline.enabled:
        return
    summary = summarize_front(study)
    if summary.baseline is None:
        raise StudyError(
            f"the baseline of study {study.name!r} gave no result ({summary.baseline_failure or 'not trained'}); "
            "the same command tries again"
        )


def _verdict(study: SearchStudy) -> str:
    settings = gather_settings(study.spec, study.records())
    return summarize_front(study).verdict if settings is None else settings.verdict


def _print_results(application: Application, study: SearchStudy, *, json: bool) -> None:
    summary, settings = summarize_front(study), gather_settings(study.spec, study.records())
    if json:
        compared = {} if settings is None else {"settings": settings.as_json(), "verdict": settings.verdict}
        application.print_json(summary.as_json() | compared)
        return
    if settings is None:
        application.console.print(front_table(summary))
        application.print_line(summary.verdict)
    else:
        application.console.print(terminal_table(settings_table(settings, is_brief=True)))
        application.print_line(settings.verdict)
    if application.slots(study.name).seconds_until_claimable() is not None:
        application.print_line("The budget is not spent; the same command goes on.")
