"""Command `show`: show one trial."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from nas.commands.composition.application import Application
from nas.commands.shared_options import (
    Json,
    NameArgument,
)
from nas.report.terminal.front_and_trial_tables import class_table, curve_table, scored_images
from nas.report.terminal.option_effect_tables import genome_table
from nas.search.analysis.front_summary import FrontSummary, summarize_records
from nas.search.analysis.option_effects import explain_options
from nas.search.analysis.record_json import record_json
from nas.search.storage.trial_records import TrialRecord
from nas.study.cost_definitions import cost_definition
from nas.study.grid_spec import describe_setting


def show(
    context: typer.Context,
    name: NameArgument,
    trial: Annotated[int, typer.Argument(metavar="TRIAL", help="The trial's number.")],
    json: Json = False,
) -> None:
    """Show one trial: metrics, genome and the effects of its options, metrics per class, learning curve."""
    application: Application = context.obj
    study = application.open_study(name)
    record = study.record(trial)
    if json:
        application.print_json(
            {
                **record_json(record),
                "per_class": [asdict(scores) for scores in record.per_class],
                "curve": [point.as_json() for point in record.curve],
            }
        )
        return
    records = study.records()
    summary = summarize_records(study.spec, records)
    application.console.print(_result_table(record, summary))
    if record.genome is not None:
        explanation = explain_options(records, summary.front)
        application.console.print(genome_table(record.genome, explanation))
    if record.per_class:
        application.console.print(class_table(record))
        absent = [scores.name for scores in record.per_class if scores.support == 0]
        if absent:
            application.print_line(f"No {scored_images(record)} of: {', '.join(absent)}; their scores are 0.")
    if record.curve:
        application.console.print(curve_table(record))


def _result_table(record: TrialRecord, summary: FrontSummary) -> Table:
    table = Table(title=f"Trial {record.number}", title_justify="left", show_header=False)
    if summary.answer is not None and record.number == summary.answer.number:
        table.add_row("answer", f"the {summary.pair.cost_definition.superlative} network at the {summary.target_text}")
    table.add_row("state", escape(record.state + (f" ({record.reason}: {record.detail})" if record.reason else "")))
    if record.point:
        table.add_row("setting", escape(describe_setting(record.point)))
    if record.params is not None:
        trained = "" if record.trained_params is None else f", {record.trained_params:,} of them trained"
        table.add_row("parameters", f"{record.params:,}{trained}")
        table.add_row("FLOPs", f"{record.flops:,}" if record.flops else "not known")
    for name, value in record.costs.items():
        table.add_row(cost_definition(name).title, cost_definition(name).text(value))
    for metric, value in record.metrics.items():
        table.add_row(metric, f"{value:.4f}")
    for figure, value in record.figures.items():
        table.add_row(figure, f"{value:.4g}")
    if record.source is not None:
        table.add_row("trained", record.training)
    if record.elastic is not None:
        table.add_row("elastic network", f"around the genome of trial {record.elastic['chosen_from']}")
    if record.train_seconds is not None:
        table.add_row("trained", f"{record.train_seconds:.1f} s on {record.device}")
    if record.reused_from is not None:
        table.add_row("result of", f"trial {record.reused_from}, which has the same genome")
    return table
