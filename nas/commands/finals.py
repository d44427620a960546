"""Command `finals`: train the finalists from several seeds and score them on the test images."""

from __future__ import annotations

from typing import Annotated

import typer

from nas.commands.composition.application import Application
from nas.commands.composition.repeat_final_training import repeat_training
from nas.commands.composition.run_trials import WorkerPlan, exit_process, new_run_control, run_trials
from nas.commands.shared_options import Json, NameArgument, Timeout, Workers
from nas.errors import StudyError
from nas.finals.finalists import BASELINE, choose_finalists, choose_settings, first_setting, more_seeds, planned_runs
from nas.finals.finals_results import DEFAULT_MARGIN, FinalResults, collect_finals
from nas.finals.finals_study import add_runs, find_finals, read_predictions
from nas.report.terminal.finals_tables import MAX_COLUMNS, averages_table, classes_table, finalists_table
from nas.search.analysis.front_summary import FrontSummary, summarize_front
from nas.search.analysis.grid_results import SettingResults, gather_settings
from nas.search.search_study import SearchStudy
from nas.search.storage.trial_records import TrialRecord
from nas.study.final_runs import FinalRun


def finals(
    context: typer.Context,
    name: NameArgument,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each network; more can be added later.")] = 5,
    top: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="K", help="The K members of the front, or settings of a grid, with the highest macro-F1."
        ),
    ] = None,
    trial: Annotated[
        list[int] | None, typer.Option(metavar="N", help="A trial's number; may be given several times.")
    ] = None,
    margin: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Non-inferiority margin: macro-F1 by which a network may be worse.")
    ] = DEFAULT_MARGIN,
    check: Annotated[
        bool, typer.Option("--check", help="Only repeat one training, and show its difference from the first.")
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
    runs = _plan_runs(study, seeds=seeds, top=top, trials=trial or [])
    finals_study = add_runs(study, runs)
    assert finals_study.spec.finals is not None
    _open_slots(application, finals_study, len(finals_study.spec.finals.runs))
    control = new_run_control(application)
    plan = WorkerPlan(workers or application.num_slots, timeout, quiet=json)
    if not run_trials(application, finals_study, control, plan):
        exit_process(130)
    # Another command may have added runs in the meantime.
    finals_study = find_finals(study) or finals_study
    results = read_results(study, finals_study, margin=margin)
    if json:
        application.print_json(results.as_json())
    else:
        _show(application, results, study, finals_study)
    if control.stop.is_set():
        raise typer.Exit(130)


def read_results(study: SearchStudy, finals_study: SearchStudy, *, margin: float = DEFAULT_MARGIN) -> FinalResults:
    """Return the results of the finals so far."""
    assert finals_study.spec.finals is not None
    records = finals_study.records()
    return collect_finals(
        study.name, finals_study.name, study.dataset_summary.classes, study.dataset_summary.num_test,
        finals_study.spec.finals.runs, records, read_predictions(finals_study, records), margin=margin,
        baseline_epochs=finals_study.spec.own_baseline_epochs,
    )  # fmt: skip


def _plan_runs(study: SearchStudy, *, seeds: int, top: int | None, trials: list[int]) -> list[FinalRun]:
    """Return the existing runs with further seeds, and the runs of new finalists; the first call selects them."""
    finals_study = find_finals(study)
    existing_runs = (
        finals_study.spec.finals.runs if finals_study is not None and finals_study.spec.finals is not None else ()
    )
    first_seed = existing_runs[0].seed if existing_runs else study.spec.max_seed + 1
    runs = more_seeds(existing_runs, num_seeds=seeds, first_seed=first_seed)
    if not existing_runs or trials or top is not None:
        finalists = _choose_finalists(study, top=top, trials=trials, is_first=not existing_runs)
        runs += planned_runs(finalists, num_seeds=seeds, first_seed=first_seed)
    return runs


def _choose_finalists(
    study: SearchStudy, *, top: int | None, trials: list[int], is_first: bool
) -> dict[str, TrialRecord]:
    """Return the finalists by name; at the first call the baseline of the comparison comes first."""
    summary, settings = summarize_front(study), gather_settings(study.spec, study.records())
    baseline = _comparison_baseline(study, summary, settings) if is_first else {}
    if settings is None:
        return baseline | choose_finalists(study, summary, trials=trials, top=top)
    return baseline | choose_settings(study, settings, trials=trials, top=top)


def _comparison_baseline(
    study: SearchStudy, summary: FrontSummary, settings: SettingResults | None
) -> dict[str, TrialRecord]:
    """Return the baseline, or a grid's first setting with a result, by name."""
    if summary.baseline is not None:
        return {BASELINE: summary.baseline}
    if study.spec.baseline.enabled:
        raise StudyError(f"the baseline of {study.name!r} has no result to compare with: nas search with its file")
    if settings is None:
        raise StudyError(f"study {study.name!r} has no baseline to compare with: enabled = false under [baseline]")
    return first_setting(study, settings)


def _open_slots(application: Application, finals_study: SearchStudy, num_runs: int) -> None:
    """Create a slot per run, and reopen the slots of runs without a result."""
    slots = application.slots(finals_study.name)
    slots.open_slots(num_runs - 1)
    records = [record for record in finals_study.records() if record.run is not None]
    done = {record.run for record in records if record.objectives is not None}
    for run in {record.run for record in records if record.state == "FAIL"} - done:
        assert run is not None
        slots.reopen(run)


def _show(application: Application, results: FinalResults, study: SearchStudy, finals_study: SearchStudy) -> None:
    if results.finalist_results:
        if len(results.finalist_results) <= MAX_COLUMNS:
            application.console.print(classes_table(results))
        application.console.print(averages_table(results))
        application.console.print(finalists_table(results))
    application.print_line(results.verdict)
    for record in finals_study.records():
        if record.state == "FAIL":
            application.print_line(
                f"trial {record.number} of {finals_study.name} failed ({record.reason}: {record.detail})"
            )
    settings = gather_settings(study.spec, study.records())
    without = [one.name for one in settings.settings if not one.records] if settings is not None else []
    if without:
        application.print_line(f"No result in the search, so no part in the finals: {', '.join(without)}.")
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
        else [one for one in finals_study.records() if one.objectives and not one.is_baseline]
    )
    if finals_study is None or not done:
        raise StudyError(f"the finals of {study.name!r} have no result to repeat: nas finals {study.name}")
    repetition = repeat_training(application, finals_study, min(done, key=lambda record: record.params or 0))
    if json:
        application.print_json(repetition.as_json())
    else:
        application.print_line(repetition.sentence)
