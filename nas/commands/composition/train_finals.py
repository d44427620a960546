"""Training of the runs of finals, step by step."""

from __future__ import annotations

import time

from nas.commands.composition.application import Application
from nas.commands.composition.finals_plan import FinalsRequest, no_results, plan_finals, read_results
from nas.commands.composition.run_trials import WorkerPlan, run_trials
from nas.finals.finals_study import damaged_runs, find_finals, store_finals
from nas.search.search_study import SearchStudy
from nas.worker.supervisor.supervisor_context import RunControl

_FIRST_SEEDS = 2
"""Seeds of a finalist that are trained at least before it may fail."""


def train_finals(
    application: Application, study: SearchStudy, request: FinalsRequest, plan: WorkerPlan, control: RunControl
) -> SearchStudy | None:
    """Train the runs of finals: all at once, or those of a sequence step by step until it is decided.

    Returns:
        The finals' study; None if supervisors still wait out an outage of the database (`run_trials`).
    """
    spec, order = plan_finals(study, request, max(_FIRST_SEEDS, plan.num_workers))
    started, offered = time.monotonic(), set[tuple[str, int]]()
    finals_study = find_finals(study)
    known = None if finals_study is None else finals_study.spec.finals
    if order is not None and known is not None and known.awaits_finalists:
        store_finals(study, spec)
    while True:
        finals_study = find_finals(study)
        if order is not None:
            is_new = finals_study is None or not finals_study.spec.finals or not finals_study.spec.finals.runs
            results = (
                no_results(study, spec)
                if finals_study is None or is_new
                else read_results(study, finals_study, margin=request.margin)
            )
            spec = spec.with_runs(order.next_runs(spec, results))
        identities = {run.identity for run in spec.runs}
        if finals_study is not None and identities <= offered:
            return finals_study
        offered |= identities
        finals_study = store_finals(study, spec)
        assert finals_study.spec.finals is not None
        _open_slots(application, finals_study, len(finals_study.spec.finals.runs))
        if not run_trials(application, finals_study, control, plan.after(time.monotonic() - started)):
            return None
        if order is None or control.stop.is_set() or control.deadline.is_set():
            # Another command may have added runs in the meantime.
            return find_finals(study) or finals_study


def _open_slots(application: Application, finals_study: SearchStudy, num_runs: int) -> None:
    """Create a slot per run, and reopen the slots of runs without a result.

    A finalist that diverged from a seed has failed with it, and is not tried again.
    """
    slots = application.slots(finals_study)
    slots.open_slots(num_runs - 1)
    records, damaged = [one for one in finals_study.records() if one.run is not None], damaged_runs(finals_study)
    done = {record.run for record in records if record.objectives is not None} - damaged.keys()
    for text in damaged.values():
        application.errors.print(f"{text}; this run is trained again", markup=False)
    failed = {one.run for one in records if one.state == "FAIL" and (one.is_baseline or one.reason != "diverged")}
    for run in (failed | damaged.keys()) - done:
        assert run is not None
        slots.reopen(run)
