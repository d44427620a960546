"""Commands that run a search: `search`, `create`, `worker`."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated

import typer

from nas.application import Application, require_budget_met
from nas.commands.options import DataPath, FileArgument, Json, NameArgument, StudyName, Trials, load_spec
from nas.facts import DataFacts
from nas.report.dashboard import write_note
from nas.report.live import FrontPoint, Progress
from nas.report.tables import facts_table, front_table
from nas.search.pace import status_of
from nas.search.slots import Slots
from nas.search.study import SearchStudy
from nas.search.summary import summarize_front
from nas.study_spec import StudySpec
from nas.worker.child import TrainerChild
from nas.worker.crew import Controls, Post, run_crew
from nas.worker.messages import Preview

_SECONDS_TO_ATTACH = 5.0

Workers = Annotated[int | None, typer.Option(min=1, help="Trials at once; default: one per GPU or core.")]
Timeout = Annotated[float | None, typer.Option(min=0, metavar="MIN", help="Start no new trial after so many minutes.")]


def search(
    context: typer.Context,
    file: FileArgument,
    workers: Workers = None,
    trials: Trials = None,
    timeout: Timeout = None,
    data: DataPath = None,
    name: StudyName = None,
    json: Json = False,
) -> None:
    """Create or resume a study, train its baseline, search, and show the front against the baseline."""
    application: Application = context.obj
    spec = load_spec(file, data, name, trials)
    controls = Controls()
    count = workers or application.num_slots
    child = _child(application, spec, 0, count, controls)
    try:
        study = _create(application, spec, child)
        if not json:
            application.console.print(facts_table(study.facts))
        _run(application, study, controls, count, timeout, ready=child, quiet=json)
    finally:
        child.close()
    _conclude(application, study, json=json)
    if controls.stop.is_set():
        raise typer.Exit(130)


def create(
    context: typer.Context,
    file: FileArgument,
    trials: Trials = None,
    data: DataPath = None,
    name: StudyName = None,
) -> None:
    """Check a study and create it, for workers to join; trains nothing."""
    application: Application = context.obj
    spec = load_spec(file, data, name, trials)
    child = application.child(spec, device=application.devices[0])
    try:
        study = _create(application, spec, child)
    finally:
        child.close()
    status = status_of(study, application.slots(study.name))
    application.say(
        f"study {study.name!r} is ready: {status.done} of {status.budget} trials done; "
        f"start workers with: nas worker {study.name}"
    )


def worker(context: typer.Context, name: NameArgument, timeout: Timeout = None) -> None:
    """Train trials of a study until its budget is spent; any number may join."""
    application: Application = context.obj
    controls = Controls()
    study = application.open_study(name)
    _run(application, study, controls, application.num_slots, timeout)
    application.say(summarize_front(study).verdict)
    if controls.stop.is_set():
        raise typer.Exit(130)


def _create(application: Application, spec: StudySpec, child: TrainerChild) -> SearchStudy:
    """Check everything that can be checked before training, then make or open the study and its slots."""
    facts = child.open_data()
    preview = child.preview(Preview(spec.search_space, spec.budget.max_params, num_samples=0))
    require_budget_met(preview.smallest.cost.params, spec)
    study = SearchStudy.create(application.connect(create_tables=True), spec, facts)
    slots = application.slots(study.name)
    slots.open_slots(spec.budget.trials)
    if summarize_front(study).baseline_failure is not None:
        slots.reopen_baseline()
    if study.spec.budget.trials > spec.budget.trials:
        application.errors.print(
            f"study {study.name!r} has a budget of {study.spec.budget.trials} trials already; it can only be raised"
        )
    return study


def _child(
    application: Application,
    spec: StudySpec,
    index: int,
    count: int,
    controls: Controls,
    facts: DataFacts | None = None,
) -> TrainerChild:
    """The trainer child of one of `count` supervisors, with its share of devices and cores."""
    return application.child(
        spec,
        facts=facts,
        device=application.devices[index % len(application.devices)],
        threads=max(1, application.num_cores // count),
        stopped=controls.stop.is_set,
    )


def _run(
    application: Application,
    study: SearchStudy,
    controls: Controls,
    count: int,
    minutes: float | None,
    *,
    ready: TrainerChild | None = None,
    quiet: bool = False,
) -> None:
    """Run supervisors with live progress until the budget is spent or they are stopped.

    Args:
        ready: A child that has the data open already, for the first supervisor.
        quiet: Whether standard output is to be left alone.
    """
    slots = application.slots(study.name)

    def post(index: int) -> Post:
        if ready is not None and index == 0:
            child = ready
        else:
            child = _child(application, study.spec, index, count, controls, study.facts)
        return Post(application.open_study(study.name), slots, child)

    progress = Progress(
        application.errors if quiet else application.console,
        budget=study.spec.budget.trials,
        done=status_of(study, slots).done,
        front=[FrontPoint(r.number, r.family, r.macro_f1, r.params or 0) for r in summarize_front(study).front],
    )
    if slots.seconds_until_claimable() is not None:
        # Otherwise the budget is spent: starting trainers to find that out would take seconds.
        with progress:
            run_crew(
                [partial(post, index) for index in range(count)],
                controls,
                progress,
                timeout_seconds=None if minutes is None else 60 * minutes,
            )
    _fail_lost_trials(study, slots)


def _fail_lost_trials(study: SearchStudy, slots: Slots) -> None:
    """Fail the trials that run according to the study but that no slot counts on: their workers were killed.

    Looked for twice, for a worker elsewhere may just have begun one that its slot does not name yet.
    """
    suspects = study.unowned(slots.owned_trial_ids())
    if suspects:
        time.sleep(_SECONDS_TO_ATTACH)
        study.fail_lost(suspects & study.unowned(slots.owned_trial_ids()))


def _conclude(application: Application, study: SearchStudy, *, json: bool) -> None:
    summary = summarize_front(study)
    write_note(study, summary)
    if json:
        application.print_json(summary.as_json())
        return
    application.console.print(front_table(summary))
    application.say(summary.verdict)
    if application.slots(study.name).seconds_until_claimable() is not None:
        application.say("The budget is not spent; the same command goes on.")
