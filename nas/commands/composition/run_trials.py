"""Supervisors and progress output of the commands that train."""

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
from nas.search.analysis.grid_results import gather_settings
from nas.search.analysis.study_status import study_status
from nas.search.pretrained_weights_artifact import fetch_weights
from nas.search.search_study import SearchStudy
from nas.search.storage.slot_leases import Slots
from nas.search.storage.windowed_storage import WINDOW_TRIALS
from nas.study.study_spec import StudySpec
from nas.worker.progress_events import Listener
from nas.worker.supervisor.run_supervisors import run_supervisors
from nas.worker.supervisor.supervisor_context import RunControl, SupervisorContext
from nas.worker.supervisor.trainer_client import TrainerClient

_SECONDS_TO_ATTACH = 5.0


class LogFormat(str, Enum):
    """Format of the progress output: text for people, JSON for machines."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True)
class WorkerPlan:
    """Number of supervisors, timeout and progress output of a command.

    Attributes:
        num_workers: Number of supervisors, and so of concurrent trials.
        timeout_minutes: Minutes after which no new trial starts; None for no limit.
        quiet: Write progress to standard error, not to standard output.
    """

    num_workers: int
    timeout_minutes: float | None = None
    log_format: LogFormat = LogFormat.TEXT
    quiet: bool = False

    def new_trainer(
        self,
        application: Application,
        spec: StudySpec,
        index: int,
        control: RunControl,
        dataset_summary: DatasetSummary | None = None,
    ) -> TrainerClient:
        """Return the trainer client of one supervisor, with its share of devices and cores."""
        return application.new_trainer(
            spec,
            dataset_summary=dataset_summary,
            device=application.devices[index % len(application.devices)],
            threads=max(1, application.num_cores // self.num_workers),
            stop_requested=control.stop.is_set,
        )


def new_run_control(application: Application, *, baseline_only: bool = False) -> RunControl:
    """Create a run control without stop or deadline."""
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
    first_trainer: TrainerClient | None = None,
) -> bool:
    """Run supervisors with live progress until the budget is spent or they are stopped.

    Args:
        first_trainer: Trainer client with opened data, for the first supervisor.

    Returns:
        True if all supervisors ended; see `run_supervisors`.
    """
    slots = application.slots(study.name)
    # NSGA-II selects parents from all trials.
    window = None if study.spec.sampler.name == "nsga2" else WINDOW_TRIALS

    def new_context(index: int, pretrained: Path | None) -> SupervisorContext:
        trainer = first_trainer if index == 0 else None
        return SupervisorContext(
            application.open_study(study.name, window=window),
            slots,
            trainer or plan.new_trainer(application, study.spec, index, control, study.dataset_summary),
            application.checkpoints(study.name),
            pretrained,
        )

    all_ended = True
    if slots.seconds_until_claimable(baseline_only=control.baseline_only) is not None:
        # Otherwise the budget is spent: starting trainers to find that out would take seconds.
        pretrained = fetch_weights(study, application.settings.data_folder.absolute())
        with (
            _progress_listener(application, study, slots, plan) as listener,
            application.dashboard_refresh(study.name, skip_final_report=control.stop.is_set),
        ):
            all_ended = run_supervisors(
                [partial(new_context, index, pretrained) for index in range(plan.num_workers)],
                control,
                listener,
                timeout_seconds=None if plan.timeout_minutes is None else 60 * plan.timeout_minutes,
            )
    if not control.stop.is_set():
        # After a stop request there is no time for it; other workers do it.
        _clean_up_lost_trials(application, study, slots)
    return all_ended


def exit_process(code: int) -> NoReturn:
    """Exit at once although supervisors still wait out an outage of the database; their leases expire."""
    sys.stdout.flush()
    os._exit(code)


@contextmanager
def _progress_listener(
    application: Application, study: SearchStudy, slots: Slots, plan: WorkerPlan
) -> Iterator[Listener]:
    """Context manager of the listener to the supervisors' events."""
    if plan.log_format is LogFormat.JSON:
        log = JsonLog(study.name, sys.stdout)
        log.write_event("worker_started", trials_at_once=plan.num_workers)
        try:
            yield log
        finally:
            log.write_event("worker_ended")
        return
    with Progress(
        application.errors if plan.quiet else application.console,
        budget=study.spec.budget.trials,
        done=study_status(study, slots).done,
        front=[FrontPoint(r.number, r.family, r.macro_f1, r.params or 0) for r in summarize_front(study).front],
        counts_baseline=study.spec.counts_baseline,
    ) as progress:
        yield progress


def _clean_up_lost_trials(application: Application, study: SearchStudy, slots: Slots) -> None:
    """Fail running trials that are attached to no slot: their workers were killed.

    They are determined twice, since another worker may just have started a trial that is not attached yet.
    """
    unowned = study.orphaned_trial_ids(slots.owned_trial_ids())
    if unowned:
        time.sleep(_SECONDS_TO_ATTACH)
        study.tell.lost(unowned & study.orphaned_trial_ids(slots.owned_trial_ids()))
    ended = {record.number for record in study.records() if record.state not in ("RUNNING", "WAITING")}
    application.checkpoints(study.name).remove_ended(ended)


def study_verdict(study: SearchStudy) -> str:
    """Return the verdict of a search or a grid on validation images."""
    settings = gather_settings(study.spec, study.records())
    return summarize_front(study).verdict if settings is None else settings.verdict
