"""Command `front`: show the Pareto front and the baseline."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.commands.composition.application import Application
from nas.commands.composition.finals_plan import find_results
from nas.commands.composition.other_cost import records_by_cost
from nas.commands.shared_options import (
    Json,
    NameArgument,
)
from nas.finals.finals_json import finals_json
from nas.finals.finals_verdict import finals_verdict
from nas.report.terminal.front_and_trial_tables import front_table, shared_front_table
from nas.report.terminal.option_effect_tables import chance_sentence, explanation_table, shared_sentence
from nas.search.analysis.front_summary import summarize_records
from nas.search.analysis.option_effects import explain_options


def front(
    context: typer.Context,
    name: NameArgument,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Show the options that the front's networks share, and the effect of each option."
        ),
    ] = False,
    cost: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Draw the front over another cost, such as latency_ms; what was not recorded is measured from the "
            "genomes, and nothing is trained.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show the Pareto front and the baseline."""
    application: Application = context.obj
    study = application.open_search(name)
    records = study.records() if cost is None else records_by_cost(application, study, cost)
    summary = summarize_records(study.spec, records, study.dataset_summary)
    explanation = explain_options(records, summary.front) if explain else None
    finals = find_results(study)
    if json:
        options = {} if explanation is None else {"options": explanation.as_json()}
        tested = {key: finals_json(finals)[key] for key in ("answer", "margin", "verdict")} if finals else None
        application.print_json(summary.as_json() | options | ({} if tested is None else {"finals": tested}))
        return
    application.console.print(front_table(summary))
    if summary.shared_front:
        application.console.print(shared_front_table(summary))
    application.print_line(summary.verdict)
    if finals is not None:
        application.print_line(f"On the test images: {finals_verdict(finals)}")
    application.print_line(f"hypervolume {summary.hypervolume:.4f}")
    if explanation is not None:
        application.console.print(explanation_table(explanation))
        application.print_line(shared_sentence(explanation))
        application.print_line(chance_sentence(explanation))
