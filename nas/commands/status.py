"""Commands `studies` and `status`: list the studies, show the progress of one."""

from __future__ import annotations

from dataclasses import asdict

import typer
from rich.markup import escape
from rich.table import Table

from nas.commands.composition.application import Application
from nas.commands.shared_options import (
    Json,
    NameArgument,
)
from nas.report.terminal.number_table import NumberTable
from nas.results.learning_curve import duration_text
from nas.search.analysis.study_status import Status, study_status


def studies(context: typer.Context, json: Json = False) -> None:
    """List the studies of the database."""
    application: Application = context.obj
    rows = [study_status(study, application.slots(study)) for study in application.open_studies()]
    if json:
        application.print_json({"studies": [asdict(row) for row in rows]})
        return
    table = NumberTable(title="Studies", title_justify="left")
    for name in ("study", "data", "trials", "workers", "best macro-F1"):
        table.add_column(name, justify="left" if name in ("study", "data") else "right")
    for row in rows:
        best = f"{row.best_macro_f1:.4f}" if row.best_macro_f1 is not None else "-"
        table.add_row(row.study, escape(row.data), f"{row.done}/{row.budget}", str(len(row.workers)), best)
    application.console.print(table)


def status(context: typer.Context, name: NameArgument, json: Json = False) -> None:
    """Show the status of a study: progress to its target, trials by state, workers alive, time left."""
    application: Application = context.obj
    study = application.open_study(name)
    current = study_status(study, application.slots(study))
    if json:
        application.print_json(asdict(current))
        return
    application.console.print(_status_table(current))


def _status_table(current: Status) -> Table:
    table = NumberTable(title=f"Study {current.study}", title_justify="left", show_header=False)
    table.add_row("budget", f"{current.done} of {current.budget} trials done")
    failed = f"failed ({current.baseline_failure})" if current.baseline_failure else None
    if current.has_baseline:
        table.add_row("baseline", escape(failed or ("done" if current.baseline_done else "not done yet")))
    if (shared := current.shared_weights) is not None:
        table.add_row(
            "shared weights",
            f"{shared.elastic_done} of {shared.elastic} elastic networks trained, "
            f"{shared.inherited_done:,} of {shared.inherited:,} slices scored",
        )  # fmt: skip
    if current.search_progress is not None:
        table.add_row("search", escape(current.search_progress))
    if current.stop_reason is not None:
        table.add_row("search ended", escape(current.stop_reason))
    states = ", ".join(f"{count} {state}" for state, count in sorted(current.states.items()))
    table.add_row("trials by state", states or "none")
    if current.stopped:
        table.add_row("stopped early", f"{current.stopped}, which saved {current.epochs_saved} epochs")
    table.add_row("workers alive", escape(", ".join(current.workers)) or "none")
    for task, progress in current.running.items():
        table.add_row(task, escape(progress))
    table.add_row("trials per hour", f"{current.trials_per_hour:.1f}" if current.trials_per_hour else "not known yet")
    table.add_row("time left", _time_left(current))
    return table


def _time_left(current: Status) -> str:
    if current.seconds_left == 0:
        return "none, the budget is spent" if current.stop_reason is None else "none, the search has ended"
    if current.seconds_left is not None:
        return f"about {duration_text(current.seconds_left)}"
    if current.workers:
        return "not known before the first trial has ended"
    return "not known: nothing is running"
