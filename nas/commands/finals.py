"""Command `finals`: train the finalists from several seeds and score them on the test images."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.commands.composition.application import Application
from nas.commands.composition.finals_plan import (
    DEFAULT_SEEDS,
    FinalsRequest,
    read_results,
)
from nas.commands.composition.repeat_final_training import repeat_training
from nas.commands.composition.run_trials import WorkerPlan, exit_process, new_run_control
from nas.commands.composition.train_finals import train_finals
from nas.commands.shared_options import Json, NameArgument, Timeout, Workers
from nas.errors import StudyError
from nas.finals.finalist_sequence import DEFAULT_FINALISTS
from nas.finals.finals_json import finals_json
from nas.finals.finals_results import FinalResults
from nas.finals.finals_study import find_finals
from nas.finals.finals_verdict import finals_verdict
from nas.report.terminal.finals_tables import MAX_COLUMNS, averages_table, classes_table, finalists_table
from nas.search.analysis.grid_results import gather_settings
from nas.search.search_study import SearchStudy

BaselineOnly = Annotated[
    bool,
    typer.Option(
        "--baseline-only",
        help="Train the baseline alone, beside a search; the finalists are chosen by a later call.",
    ),
]
Margin = Annotated[
    float | None,
    typer.Option(min=0.0, max=1.0, help="Score by which a network may be worse; default: the tolerance of the target."),
]


def finals(
    context: typer.Context,
    name: NameArgument,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Trainings of each network, fixed by the first call (default: {DEFAULT_SEEDS}); a larger "
            "number later is trained where nothing is decided.",
        ),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(min=1, metavar="N", help="Train only the N-th of these seeds now; may be given several times."),
    ] = None,
    finalists: Annotated[
        int | None,
        typer.Option(min=1, metavar="K", help=f"Finalists down the front at most; default: {DEFAULT_FINALISTS}."),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="K", help="The K members of the front, or settings of a grid, with the highest score."
        ),
    ] = None,
    trial: Annotated[
        list[int] | None, typer.Option(metavar="N", help="A trial's number; may be given several times.")
    ] = None,
    margin: Margin = None,
    baseline_only: BaselineOnly = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only repeat one training, and show its difference from the first.")
    ] = False,
    workers: Workers = None,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Train the baseline and finalists one after another, or a grid's settings; score them on the test images."""
    if finalists is not None and (trial or top is not None):
        raise typer.BadParameter("not with --trial or --top, which name the finalists", param_hint="--finalists")
    application: Application = context.obj
    study = application.open_search(name)
    if check:
        _check(application, study, json=json)
        return
    request = FinalsRequest(seeds, tuple(seed or ()), tuple(trial or ()), top, finalists, margin, baseline_only)
    control = new_run_control(application)
    plan = WorkerPlan(workers or application.num_slots, timeout, quiet=json)
    finals_study = train_finals(application, study, request, plan, control) or exit_process(130)
    results = read_results(study, finals_study, margin=margin)
    if json:
        application.print_json(finals_json(results))
    else:
        _show(application, results, study, finals_study)
    if control.stop.is_set():
        raise typer.Exit(130)


def _show(application: Application, results: FinalResults, study: SearchStudy, finals_study: SearchStudy) -> None:
    if results.finalist_results:
        if len(results.finalist_results) <= MAX_COLUMNS:
            application.console.print(classes_table(results))
        application.console.print(averages_table(results))
        application.console.print(finalists_table(results))
    application.print_line(finals_verdict(results))
    for text in results.damaged:
        application.print_line(f"Left out: {text}")
    for record in finals_study.records():
        if record.state == "FAIL":
            application.print_line(
                f"trial {record.number} of {finals_study.name} failed ({record.reason}: {record.detail})"
            )
    settings = gather_settings(study.spec, study.records())
    without = [one.name for one in settings.settings if not one.records] if settings is not None else []
    if without:
        application.print_line(f"No result in the search, so no part in the finals: {', '.join(without)}.")
    tuned = {f"trial {one.number}" for one in study.records() if one.source is not None}
    if finalists := [one.name for one in results.finalist_results if one.name in tuned]:
        application.print_line(
            f"In the search {' and '.join(finalists)} had shared weights; the finals train from nothing."
        )
    if results.num_missing:
        application.print_line(f"{results.num_missing} runs have no result yet; the same command goes on.")
    elif results.winner is not None:
        number = results.winner.records[0].number
        application.print_line(
            f"The network as it was trained here: nas export {finals_study.name} --trial {number} -o model.pt"
        )


def _check(application: Application, study: SearchStudy, *, json: bool) -> None:
    """Repeat the first run of the smallest finalist."""
    finals_study = find_finals(study)
    done = (
        []
        if finals_study is None
        else [one for one in finals_study.records() if one.objectives and one.weights is not None]
    )
    if finals_study is None or not done:
        raise StudyError(f"the finals of {study.name!r} have no result to repeat: nas finals {study.name}")
    repetition = repeat_training(application, finals_study, min(done, key=lambda record: record.params or 0))
    if json:
        application.print_json(repetition.as_json())
    else:
        application.print_line(repetition.sentence)
