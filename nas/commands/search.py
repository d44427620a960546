"""Command `search`: create or resume a study and run its trials."""

from __future__ import annotations

import typer

from nas.commands.composition.application import Application
from nas.commands.composition.network_timing import NetworkTimer
from nas.commands.composition.run_search import run_search
from nas.commands.composition.run_trials import WorkerPlan, exit_process, new_run_control
from nas.commands.composition.time_estimates import estimate_study
from nas.commands.composition.training_length import TrainingLength
from nas.commands.shared_options import (
    Channels,
    DataPath,
    FileArgument,
    ImageSize,
    Json,
    NoStart,
    Quick,
    SharedWeights,
    Start,
    StartFrom,
    Strict,
    StudyName,
    Timeout,
    Trials,
    WeightsFile,
    Workers,
    load_spec,
    with_start,
)
from nas.report.tables.grid_tables import settings_table
from nas.report.terminal.data_and_space_tables import dataset_table
from nas.report.terminal.front_and_trial_tables import front_table, shared_front_table, terminal_table
from nas.search.analysis.front_summary import summarize_front
from nas.search.analysis.grid_results import gather_settings
from nas.search.analysis.study_status import study_status
from nas.search.distillation_teacher import teacher_of
from nas.search.search_monitor import SearchMonitor
from nas.search.search_study import SearchStudy


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
    strict: Strict = False,
    start: Start = None,
    start_from: StartFrom = None,
    no_start: NoStart = False,
    shared_weights: SharedWeights = False,
    json: Json = False,
) -> None:
    """Create or resume a study, train its baseline, search, and show the front against the baseline."""
    application: Application = context.obj
    spec = load_spec(
        file, data, name, trials, image_size=image_size, channels=channels, quick=quick, shared_weights=shared_weights
    )
    spec = with_start(spec, start, start_from, no_start=no_start)
    control = new_run_control(application)
    plan = WorkerPlan(workers or application.num_slots, timeout, quiet=json)

    def print_created(study: SearchStudy, timer: NetworkTimer) -> None:
        if not json:
            application.console.print(dataset_table(study.dataset_summary))
            _print_times(application, study, timer)

    study, all_ended = run_search(application, spec, plan, control, weights, strict=strict, on_created=print_created)
    if not all_ended:
        exit_process(130)
    _print_results(application, study, json=json)
    if control.stop.is_set():
        raise typer.Exit(130)


def _print_times(application: Application, study: SearchStudy, timer: NetworkTimer) -> None:
    """Print the length of a trial and how long the whole study takes on this machine, unless it is nearly done or
    has ended.
    """
    spec, dataset = study.spec, study.dataset_summary
    status = study_status(study, application.slots(study))
    if status.done > spec.budget.trials / 2 or status.stop_reason is not None:
        return
    teacher = teacher_of(study)
    timer.teacher = None if teacher is None else teacher.architecture
    application.print_line(TrainingLength.of(spec, dataset, timer.networks).text)
    times = estimate_study(timer.networks, spec, dataset)
    if times is not None:
        application.print_line(times.text)


def _print_results(application: Application, study: SearchStudy, *, json: bool) -> None:
    summary, settings = summarize_front(study), gather_settings(study.spec, study.records())
    if json:
        compared = {} if settings is None else {"settings": settings.as_json(), "verdict": settings.verdict}
        application.print_json(summary.as_json() | compared)
        return
    if settings is None:
        application.console.print(front_table(summary))
        if summary.shared_front:
            application.console.print(shared_front_table(summary))
        application.print_line(summary.verdict)
    else:
        application.console.print(terminal_table(settings_table(settings, is_brief=True)))
        application.print_line(settings.verdict)
    reason = SearchMonitor(study).stop_reason()
    if reason is not None:
        application.print_line(f"The search ended: {reason}.")
    elif application.slots(study).seconds_until_claimable() is not None:
        application.print_line("The budget is not spent; the same command goes on.")
