"""Command `worker`: train trials of an existing study."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.commands.composition.application import Application
from nas.commands.composition.run_trials import (
    LogFormat,
    WorkerPlan,
    exit_process,
    new_run_control,
    run_trials,
    study_verdict,
)
from nas.commands.shared_options import (
    LogFormatOption,
    Timeout,
    name_of,
)
from nas.search.search_monitor import SearchMonitor


def worker(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A study's name, or its file.")],
    timeout: Timeout = None,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Train trials of a study until it ends or its budget is spent; any number of workers, on any machine."""
    application: Application = context.obj
    control = new_run_control(application)
    study = application.open_study(name_of(name))
    plan = WorkerPlan(application.num_slots, timeout, log_format)
    if not run_trials(application, study, control, plan):
        exit_process(0)
    if log_format is LogFormat.TEXT and not control.stop.is_set():
        finals = study.spec.finals
        application.print_line(study_verdict(study) if finals is None else f"Results: nas finals {finals.study}")
        reason = SearchMonitor(study).stop_reason()
        if reason is not None:
            application.print_line(f"The search ended: {reason}.")
