"""Command `create`: create a study for workers to join."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.commands.composition.application import Application
from nas.commands.composition.network_timing import NetworkTimer
from nas.commands.composition.run_trials import LogFormat, WorkerPlan, exit_process, new_run_control, run_trials
from nas.commands.composition.study_creation import create_checked_study
from nas.commands.shared_options import (
    Channels,
    DataPath,
    FileArgument,
    ImageSize,
    LogFormatOption,
    NoStart,
    Quick,
    SharedWeights,
    Start,
    StartFrom,
    Strict,
    StudyName,
    Trials,
    WeightsFile,
    load_spec,
    with_start,
)
from nas.errors import StudyError
from nas.search.analysis.front_summary import summarize_front
from nas.search.analysis.study_status import study_status
from nas.search.search_study import SearchStudy


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
    strict: Strict = False,
    start: Start = None,
    start_from: StartFrom = None,
    no_start: NoStart = False,
    shared_weights: SharedWeights = False,
    baseline: Annotated[bool, typer.Option("--baseline", help="Train the baseline as well.")] = False,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Check a study and create it, for workers to join; trains nothing, or the baseline alone."""
    application: Application = context.obj
    spec = load_spec(
        file, data, name, trials, image_size=image_size, channels=channels, quick=quick, shared_weights=shared_weights
    )
    spec = with_start(spec, start, start_from, no_start=no_start)
    control = new_run_control(application, baseline_only=baseline)
    plan = WorkerPlan(1, log_format=log_format)
    application.machine_folders.require()
    trainer = plan.new_trainer(application, spec, 0, control)
    try:
        timer = NetworkTimer.of(application, spec, trainer, application.num_slots)
        study = create_checked_study(application, spec, timer, weights, strict=strict)
        if baseline and not run_trials(application, study, control, plan, first_trainer=trainer):
            exit_process(130)
    finally:
        trainer.close()
    if control.stop.is_set():
        raise typer.Exit(130)
    if baseline:
        _require_baseline(study)
    status, budget = study_status(study, application.slots(study)), study.spec.budget
    if budget.length != "epochs":
        application.print_line(f"budget.{budget.given_text}: epochs of a trial: {budget.epochs}")
    application.print_line(
        f"study {study.name!r} is ready: {status.done} of {status.budget} trials done; "
        f"start workers with: nas worker {study.name}"
    )


def _require_baseline(study: SearchStudy) -> None:
    if not study.spec.baseline.enabled:
        return
    summary = summarize_front(study)
    if summary.baseline is None:
        raise StudyError(
            f"the baseline of study {study.name!r} gave no result ({summary.baseline_failure or 'not trained'}); "
            "the same command trains it again"
        )
