"""The command that scores on the test images: `finals`."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.commands.composition.application import Application
from nas.commands.composition.repeat_final_training import rerun
from nas.commands.composition.run_trials import WorkerPlan, leave, new_run_control, run_trials
from nas.commands.shared_options import Json, NameArgument, Timeout, Workers
from nas.errors import StudyError
from nas.finals.finalists import BASELINE, choose_finalists, choose_settings, first_setting, more_seeds, planned_runs
from nas.finals.finals_results import DEFAULT_MARGIN, FinalResults, collect_finals
from nas.report.terminal.finals_tables import MAX_COLUMNS, averages_table, classes_table, standings_table
from nas.search.analysis.front_summary import FrontSummary, summarize_front
from nas.search.analysis.grid_results import SettingResults, gather_settings
from nas.search.finals_study import add_runs, find_finals, read_predictions
from nas.search.search_study import SearchStudy
from nas.search.storage.trial_records import TrialRecord
from nas.study.finals_spec import FinalRun


def finals(
    context: typer.Context,
    name: NameArgument,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each network; more can be added later.")] = 5,
    top: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="K", help="The K of the front, or of a grid's settings, with the highest macro-F1."
        ),
    ] = None,
    trial: Annotated[
        list[int] | None, typer.Option(metavar="N", help="A trial's number; may be given several times.")
    ] = None,
    margin: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Macro-F1 by which a network may be worse and pass as no worse.")
    ] = DEFAULT_MARGIN,
    check: Annotated[
        bool, typer.Option("--check", help="Only repeat one training, and show how far it lands from the first.")
    ] = False,
    workers: Workers = None,
    timeout: Timeout = None,
    json: Json = False,
) -> None:
    """Train the finalists and the baseline, or a grid's settings, from several seeds; score on the test images."""
    application: Application = context.obj
    study = application.open_search(name)
    if check:
        _check(application, study, json=json)
        return
    runs = _planned(study, seeds=seeds, top=top, trials=trial or [])
    companion = add_runs(study, runs)
    assert companion.spec.finals is not None
    _offer(application, companion, len(companion.spec.finals.runs))
    control = new_run_control(application)
    plan = WorkerPlan(workers or application.num_slots, timeout, quiet=json)
    if not run_trials(application, companion, control, plan):
        leave(130)
    # Another command may have added runs in the meantime.
    companion = find_finals(study) or companion
    results = read_results(study, companion, margin=margin)
    if json:
        application.print_json(results.as_json())
    else:
        _show(application, results, study, companion)
    if control.stop.is_set():
        raise typer.Exit(130)


def read_results(study: SearchStudy, companion: SearchStudy, *, margin: float = DEFAULT_MARGIN) -> FinalResults:
    """The finals of a study as far as they are."""
    assert companion.spec.finals is not None
    records = companion.records()
    return collect_finals(
        study.name, companion.name, study.facts.classes, study.facts.num_test, companion.spec.finals.runs, records,
        read_predictions(companion, records), margin=margin,
    )  # fmt: skip


def _planned(study: SearchStudy, *, seeds: int, top: int | None, trials: list[int]) -> list[FinalRun]:
    """What there is, with more seeds, and whoever was asked for; who takes part is settled by the first call."""
    existing = find_finals(study)
    known = existing.spec.finals.runs if existing is not None and existing.spec.finals is not None else ()
    first_seed = known[0].seed if known else study.spec.last_seed + 1
    runs = more_seeds(known, num_seeds=seeds, first_seed=first_seed)
    if not known or trials or top is not None:
        finalists = _finalists(study, top=top, trials=trials, is_first=not known)
        runs += planned_runs(finalists, num_seeds=seeds, first_seed=first_seed)
    return runs


def _finalists(study: SearchStudy, *, top: int | None, trials: list[int], is_first: bool) -> dict[str, TrialRecord]:
    """Who takes part, by name; of the first call before all the one that the others are compared with."""
    summary, settings = summarize_front(study), gather_settings(study.spec, study.records())
    reference = _reference(study, summary, settings) if is_first else {}
    if settings is None:
        return reference | choose_finalists(study, summary, trials=trials, top=top)
    return reference | choose_settings(study, settings, trials=trials, top=top)


def _reference(study: SearchStudy, summary: FrontSummary, settings: SettingResults | None) -> dict[str, TrialRecord]:
    """The baseline, or a grid's first setting that has a result, by name."""
    if summary.baseline is not None:
        return {BASELINE: summary.baseline}
    if study.spec.baseline.enabled:
        raise StudyError(f"the baseline of {study.name!r} has no result to compare with: nas search with its file")
    if settings is None:
        raise StudyError(f"study {study.name!r} has no baseline to compare with: enabled = false under [baseline]")
    return first_setting(study, settings)


def _offer(application: Application, companion: SearchStudy, num_runs: int) -> None:
    """Make a slot for each run, and offer those again whose trial gave no result."""
    slots = application.slots(companion.name)
    slots.open_slots(num_runs - 1)
    records = [record for record in companion.records() if record.run is not None]
    done = {record.run for record in records if record.objectives is not None}
    for run in {record.run for record in records if record.state == "FAIL"} - done:
        assert run is not None
        slots.reopen(run)


def _show(application: Application, results: FinalResults, study: SearchStudy, companion: SearchStudy) -> None:
    if results.standings:
        if len(results.standings) <= MAX_COLUMNS:
            application.console.print(classes_table(results))
        application.console.print(averages_table(results))
        application.console.print(standings_table(results))
    application.say(results.verdict)
    for record in companion.records():
        if record.state == "FAIL":
            application.say(f"trial {record.number} of {companion.name} failed ({record.reason}: {record.detail})")
    settings = gather_settings(study.spec, study.records())
    without = [one.name for one in settings.settings if not one.records] if settings is not None else []
    if without:
        application.say(f"No result in the search, so no part in the finals: {', '.join(without)}.")
    if results.num_missing:
        application.say(f"{results.num_missing} runs have no result yet; the same command goes on.")
    elif results.winner is not None:
        number = results.winner.records[0].number
        application.say(f"The network as it was trained here: nas export {companion.name} --trial {number} -o model.pt")


def _check(application: Application, study: SearchStudy, *, json: bool) -> None:
    """Repeat the first run of the smallest finalist."""
    companion = find_finals(study)
    done = [] if companion is None else [one for one in companion.records() if one.objectives and not one.is_baseline]
    if companion is None or not done:
        raise StudyError(f"the finals of {study.name!r} have no result to repeat: nas finals {study.name}")
    found = rerun(application, companion, min(done, key=lambda record: record.params or 0))
    if json:
        application.print_json(found.as_json())
    else:
        application.say(found.sentence)
