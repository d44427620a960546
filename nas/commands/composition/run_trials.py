"""Putting a crew together for the commands that train, with its display."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import NoReturn

from nas.commands.composition.application import Application
from nas.commands.progress.json_log import JsonLog
from nas.commands.progress.live_display import FrontPoint, Progress
from nas.results.dataset_summary import DatasetSummary
from nas.search.analysis.front_summary import summarize_front
from nas.search.analysis.study_status import study_status
from nas.search.pretrained_weights import fetch_weights
from nas.search.search_study import SearchStudy
from nas.search.storage.slot_leases import Slots
from nas.search.storage.windowed_storage import WINDOW_TRIALS
from nas.study.study_spec import StudySpec
from nas.worker.progress_events import Listener
from nas.worker.supervisor.supervisor_context import RunControl, SupervisorContext
from nas.worker.supervisor.supervisor_threads import run_supervisors
from nas.worker.supervisor.trainer_client import TrainerClient

_SECONDS_TO_ATTACH = 5.0


class LogFormat(str, Enum):
    """Whom progress is for."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True)
class WorkerPlan:
    """How trials are run and shown.

    Attributes:
        count: Trials at once.
        minutes: No new trial is started after them.
        quiet: Whether standard output is to be left alone.
    """

    count: int
    minutes: float | None = None
    log_format: LogFormat = LogFormat.TEXT
    quiet: bool = False

    def child(
        self,
        application: Application,
        spec: StudySpec,
        index: int,
        control: RunControl,
        facts: DatasetSummary | None = None,
    ) -> TrainerClient:
        """The trainer child of one of the supervisors, with its share of devices and cores."""
        return application.child(
            spec,
            facts=facts,
            device=application.devices[index % len(application.devices)],
            threads=application.settings.threads or max(1, application.num_cores // self.count),
            stopped=control.stop.is_set,
        )


def new_run_control(application: Application, *, baseline_only: bool = False) -> RunControl:
    """Orders to work until the budget is spent."""
    settings = application.settings
    return RunControl(
        threading.Event(), threading.Event(), baseline_only, settings.lease_seconds, settings.checkpoint_seconds
    )


def run_trials(
    application: Application,
    study: SearchStudy,
    control: RunControl,
    plan: WorkerPlan,
    *,
    ready: TrainerClient | None = None,
) -> bool:
    """Run supervisors with live progress until the budget is spent or they are stopped.

    Args:
        ready: A child that has the data open already, for the first supervisor.

    Returns:
        Whether all supervisors ended; see `run_supervisors`.
    """
    slots = application.slots(study.name)
    # NSGA-II has parents among all trials.
    window = None if study.spec.sampler.name == "nsga2" else WINDOW_TRIALS

    def post(index: int, pretrained: Path | None) -> SupervisorContext:
        child = ready if index == 0 else None
        return SupervisorContext(
            application.open_study(study.name, window=window),
            slots,
            child or plan.child(application, study.spec, index, control, study.facts),
            application.checkpoints(study.name),
            pretrained,
        )

    all_ended = True
    if slots.seconds_until_claimable(baseline_only=control.baseline_only) is not None:
        # Otherwise the budget is spent: starting trainers to find that out would take seconds.
        pretrained = fetch_weights(study, application.settings.data_folder.absolute())
        with (
            _listening(application, study, slots, plan) as listener,
            application.dashboard_refresh(study.name, in_haste=control.stop.is_set),
        ):
            all_ended = run_supervisors(
                [partial(post, index, pretrained) for index in range(plan.count)],
                control,
                listener,
                timeout_seconds=None if plan.minutes is None else 60 * plan.minutes,
            )
    if not control.stop.is_set():
        # Who was asked to leave has no time for it, and leaves it to others.
        _clear_away(application, study, slots)
    return all_ended


def leave(code: int) -> NoReturn:
    """End although supervisors still wait for an absent database: their leases expire by themselves."""
    sys.stdout.flush()
    os._exit(code)


@contextmanager
def _listening(application: Application, study: SearchStudy, slots: Slots, plan: WorkerPlan) -> Iterator[Listener]:
    """Whoever is told what the supervisors do."""
    if plan.log_format is LogFormat.JSON:
        log = JsonLog(study.name, sys.stdout)
        log.note("worker_started", trials_at_once=plan.count)
        try:
            yield log
        finally:
            log.note("worker_ended")
        return
    with Progress(
        application.errors if plan.quiet else application.console,
        budget=study.spec.budget.trials,
        done=study_status(study, slots).done,
        front=[FrontPoint(r.number, r.family, r.macro_f1, r.params or 0) for r in summarize_front(study).front],
        counts_baseline=study.spec.counts_baseline,
    ) as progress:
        yield progress


def _clear_away(application: Application, study: SearchStudy, slots: Slots) -> None:
    """Fail the trials that run according to the study but that no slot counts on: their workers were killed.

    Looked for twice, for a worker elsewhere may just have begun one that its slot does not name yet.
    """
    suspects = study.unowned(slots.owned_trial_ids())
    if suspects:
        time.sleep(_SECONDS_TO_ATTACH)
        study.tell.lost(suspects & study.unowned(slots.owned_trial_ids()))
    ended = {record.number for record in study.records() if record.state not in ("RUNNING", "WAITING")}
    application.checkpoints(study.name).drop_leftovers(ended)
