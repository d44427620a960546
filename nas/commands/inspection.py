"""Commands that look: `check`, `studies`, `status`, `front`, `show`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from nas.application import Application, require_budget_met
from nas.commands.options import (
    Channels,
    DataPath,
    FileArgument,
    ImageSize,
    Json,
    NameArgument,
    Quick,
    WeightsFile,
    load_spec,
)
from nas.commands.previewing import grid_samples
from nas.facts import DataFacts
from nas.grid import describe_setting
from nas.report.option_tables import chance_sentence, explanation_table, genome_table, shared_sentence
from nas.report.tables import (
    class_table,
    curve_table,
    facts_table,
    front_table,
    grid_table,
    images_of,
    preview_table,
)
from nas.search.explanation import explain_options
from nas.search.pace import Status, status_of
from nas.search.records import TrialRecord
from nas.search.summary import record_json, summarize_front, summarize_records
from nas.study_spec import StudySpec
from nas.worker.messages import Preview, Sample


def check(
    context: typer.Context,
    file: FileArgument,
    data: DataPath = None,
    weights: WeightsFile = None,
    image_size: ImageSize = None,
    channels: Channels = None,
    samples: Annotated[int, typer.Option(min=0, max=1000, help="Random genomes to draw.")] = 8,
    quick: Quick = False,
    json: Json = False,
) -> None:
    """Check a study, its search space and its data; show the space's size and sample genomes; train nothing."""
    application: Application = context.obj
    spec = load_spec(file, data, image_size=image_size, channels=channels, quick=quick)
    child = application.child(spec, device=application.devices[0], threads=application.num_cores)
    try:
        facts = child.open_data()
        pretrained = application.find_weights(spec, child, weights)
        if spec.search_space is None:
            _show_grid(application, spec, facts, grid_samples(child, spec), json=json)
            return
        preview = child.preview(Preview(spec.search_space, spec.budget.max_params, samples))
    finally:
        child.close()
    require_budget_met(preview.smallest.cost.params, spec)
    size, notes = spec.space.size(), spec.notes()
    if json:
        application.print_json(
            {
                "study": spec.name,
                "data": asdict(facts),
                "space": {"discrete": size.discrete, "continuous": sorted(size.continuous)},
                "notes": notes,
                "pretrained": asdict(pretrained) if pretrained is not None else None,
                "share_within_budget": preview.share_within_budget,
                "smallest": asdict(preview.smallest.cost),
                "samples": [
                    {**asdict(one.cost), "genome": one.genome.model_dump(mode="json", exclude_none=True)}
                    for one in preview.samples
                ],
            }
        )
        return
    application.console.print(facts_table(facts))
    application.console.print(preview_table(preview))
    if pretrained is not None:
        application.say(f"baseline: weights of {pretrained.origin} (SHA-256 of the trunk {pretrained.sha256[:16]}…)")
    for note in notes:
        application.say(f"note: {note}")
    application.say(
        f"{file}: no faults. The space has {size.discrete:.1e} combinations of discrete genes, each with "
        f"{len(size.continuous)} continuous ones ({', '.join(sorted(size.continuous)) or 'none'})."
    )
    if samples:
        application.say(f"{preview.share_within_budget:.0%} of the random genomes are within the budget.")


def _show_grid(
    application: Application, spec: StudySpec, facts: DataFacts, samples: Mapping[str, Sample], *, json: bool
) -> None:
    """What `check` says of a grid."""
    require_budget_met(min(sample.cost.params for sample in samples.values()), spec)
    if json:
        settings = [{"setting": name, **asdict(one.cost)} for name, one in samples.items()]
        application.print_json({"study": spec.name, "data": asdict(facts), "settings": settings})
        return
    application.console.print(facts_table(facts))
    application.console.print(grid_table(samples))
    application.say(f"No faults. Settings: {len(samples)}; trainings in all: {spec.budget.trials}.")


def studies(context: typer.Context, json: Json = False) -> None:
    """List the studies of the database."""
    application: Application = context.obj
    rows = [status_of(study, application.slots(study.name)) for study in application.open_studies()]
    if json:
        application.print_json({"studies": [asdict(row) for row in rows]})
        return
    table = Table(title="Studies", title_justify="left")
    for name in ("study", "data", "trials", "workers", "best macro-F1"):
        table.add_column(name, justify="left" if name in ("study", "data") else "right")
    for row in rows:
        best = f"{row.best_macro_f1:.4f}" if row.best_macro_f1 is not None else "-"
        table.add_row(row.study, escape(row.data), f"{row.done}/{row.budget}", str(len(row.workers)), best)
    application.console.print(table)


def status(context: typer.Context, name: NameArgument, json: Json = False) -> None:
    """Show how far a study is: trials by state, workers alive, trials per hour, time left."""
    application: Application = context.obj
    found = status_of(application.open_study(name), application.slots(name))
    if json:
        application.print_json(asdict(found))
        return
    application.console.print(_status_table(found))


def _status_table(found: Status) -> Table:
    table = Table(title=f"Study {found.study}", title_justify="left", show_header=False)
    table.add_row("budget", f"{found.done} of {found.budget} trials done")
    failed = f"failed ({found.baseline_failure})" if found.baseline_failure else None
    if found.has_baseline:
        table.add_row("baseline", escape(failed or ("done" if found.baseline_done else "not done yet")))
    states = ", ".join(f"{count} {state}" for state, count in sorted(found.states.items()))
    table.add_row("trials by state", states or "none")
    if found.stopped:
        table.add_row("stopped early", f"{found.stopped}, which saved {found.epochs_saved} epochs")
    table.add_row("workers alive", escape(", ".join(found.workers)) or "none")
    table.add_row("trials per hour", f"{found.trials_per_hour:.1f}" if found.trials_per_hour else "not known yet")
    table.add_row("time left", _duration(found.seconds_left))
    return table


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "not known: nothing is running"
    if seconds == 0:
        return "none, the budget is spent"
    minutes = round(seconds / 60)
    return f"about {minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"about {max(1, minutes)} min"


def front(
    context: typer.Context,
    name: NameArgument,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what the front's networks share, and what each option did.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the Pareto front and the baseline."""
    application: Application = context.obj
    study = application.open_search(name)
    records = study.records()
    summary = summarize_front(study)
    explanation = explain_options(records, summary.front) if explain else None
    if json:
        options = {} if explanation is None else {"options": explanation.as_json()}
        application.print_json(summary.as_json() | options)
        return
    application.console.print(front_table(summary))
    application.say(summary.verdict)
    application.say(f"hypervolume {summary.hypervolume:.4f}")
    if explanation is not None:
        application.console.print(explanation_table(explanation))
        application.say(shared_sentence(explanation))
        application.say(chance_sentence(explanation))


def show(
    context: typer.Context,
    name: NameArgument,
    trial: Annotated[int, typer.Argument(metavar="TRIAL", help="The trial's number.")],
    json: Json = False,
) -> None:
    """Show one trial: metrics, genome and what its options did, metrics per class, learning curve."""
    application: Application = context.obj
    study = application.open_study(name)
    record = study.record(trial)
    if json:
        application.print_json(
            {
                **record_json(record),
                "per_class": [asdict(scores) for scores in record.per_class],
                "curve": [asdict(point) for point in record.curve],
            }
        )
        return
    application.console.print(_result_table(record))
    if record.genome is not None:
        records = study.records()
        explanation = explain_options(records, summarize_records(name, records).front)
        application.console.print(genome_table(record.genome, explanation))
    if record.per_class:
        application.console.print(class_table(record))
        absent = [scores.name for scores in record.per_class if scores.support == 0]
        if absent:
            application.say(f"No {images_of(record)} of: {', '.join(absent)}; their scores are 0.")
    if record.curve:
        application.console.print(curve_table(record))


def _result_table(record: TrialRecord) -> Table:
    table = Table(title=f"Trial {record.number}", title_justify="left", show_header=False)
    table.add_row("state", escape(record.state + (f" ({record.reason}: {record.detail})" if record.reason else "")))
    if record.point:
        table.add_row("setting", escape(describe_setting(record.point)))
    if record.params is not None:
        trained = "" if record.trained_params is None else f", {record.trained_params:,} of them trained"
        table.add_row("parameters", f"{record.params:,}{trained}")
        table.add_row("FLOPs", f"{record.flops:,}")
    for metric, value in record.metrics.items():
        table.add_row(metric, f"{value:.4f}")
    for figure, value in record.figures.items():
        table.add_row(figure, f"{value:.4g}")
    if record.train_seconds is not None:
        table.add_row("trained", f"{record.train_seconds:.1f} s on {record.device}")
    if record.reused_from is not None:
        table.add_row("result of", f"trial {record.reused_from}, which has the same genome")
    return table
