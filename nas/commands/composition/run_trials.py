"""Supervisors and progress output of the commands that train."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache, partial
from pathlib import Path
from typing import NoReturn

from nas.commands.composition.application import Application
from nas.commands.progress.json_log import JsonLog
from nas.commands.progress.live_display import FrontPoint, Progress
from nas.commands.progress.search_progress_thread import SearchProgressThread
from nas.results.dataset_summary import DatasetSummary
from nas.search.analysis.front_summary import summarize_front
from nas.search.analysis.grid_results import gather_settings
from nas.search.analysis.study_status import study_status
from nas.search.baseline_trials import teacher_slot
from nas.search.distillation_teacher import fetch_teacher
from nas.search.model_files_artifact import fetch_model_files
from nas.search.pretrained_weights_artifact import fetch_weights
from nas.search.search_monitor import SearchMonitor
from nas.search.search_study import SearchStudy
from nas.search.shared_weights.elastic_weights import fetch_elastic_weights
from nas.search.stop_conditions import StopConditions
from nas.search.storage.slot_leases import Slots
from nas.search.storage.windowed_storage import WINDOW_TRIALS
from nas.study.study_spec import StudySpec
from nas.worker.progress_events import Listener, SearchEnded
from nas.worker.supervisor.machine_folders import MachineFolders
from nas.worker.supervisor.run_supervisors import run_supervisors
from nas.worker.supervisor.supervisor_context import RunControl, SupervisorContext
from nas.worker.supervisor.trainer_client import TrainerClient

_SECONDS_TO_ATTACH = 5.0
_PROGRESS_SECONDS = 180.0
_LIVE_PROGRESS_SECONDS = 60.0


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

    def after(self, seconds: float) -> WorkerPlan:
        """Return the plan of what follows, with the timeout that is left after some seconds."""
        if self.timeout_minutes is None:
            return self
        return replace(self, timeout_minutes=max(0.0, self.timeout_minutes - seconds / 60))

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
        threading.Event(), threading.Event(), baseline_only, settings.lease_seconds, settings.checkpoint_seconds,
        kills_at_second_signal=not application.is_embedded,
    )  # fmt: skip


def run_trials(
    application: Application,
    study: SearchStudy,
    control: RunControl,
    plan: WorkerPlan,
    *,
    first_trainer: TrainerClient | None = None,
) -> bool:
    """Run supervisors with live progress until the budget is spent, the search ends or they are stopped.

    Args:
        first_trainer: Trainer client with opened data, for the first supervisor.

    Returns:
        True if all supervisors ended; see `run_supervisors`.
    """
    slots = application.slots(study)
    all_ended = True
    monitor = SearchMonitor(study)
    reason = None if control.baseline_only else monitor.stop_reason()
    if slots.seconds_until_claimable(baseline_only=control.baseline_only or reason is not None) is not None:
        # Otherwise nothing is left to do: starting trainers to find that out would take seconds.
        folders = application.machine_folders
        folders.require()
        pretrained = fetch_weights(study, application.settings.data_folder.absolute())
        fetch_model_files(study, application.settings.data_folder.absolute())
        if study.spec.trains_baseline_first and not slots.baseline_done(teacher_slot(study.spec)):
            application.errors.print("The baseline is the teacher of the other trials: they wait until it is trained.")
        with (
            _progress_listener(application, study, slots, plan) as listener,
            _search_progress(application, study, listener, control),
            application.dashboard_refresh(study.name, skip_final_report=control.stop.is_set),
        ):
            conditions = (
                StopConditions(monitor.stop_reason, lambda reason: listener(SearchEnded(reason)))
                if study.spec.stop.is_given
                else None
            )
            contexts = _Contexts(application, study, control, plan, pretrained, conditions, first_trainer, folders)
            all_ended = run_supervisors(
                [partial(contexts.new, index) for index in range(plan.num_workers)],
                control,
                listener,
                timeout_seconds=None if plan.timeout_minutes is None else 60 * plan.timeout_minutes,
            )
    elif reason is not None and plan.log_format is LogFormat.JSON:
        JsonLog(study.name, sys.stdout)(SearchEnded(reason))
    if not control.stop.is_set():
        # After a stop request there is no time for it; other workers do it.
        _clean_up_lost_trials(application, study, slots)
    return all_ended


@dataclass(frozen=True)
class _Contexts:
    """Factory of the contexts of a process's supervisors.

    Attributes:
        pretrained: File of the initial weights of pretrained networks.
        conditions: Conditions that end the search; None without any.
        first_trainer: Trainer client with opened data, for the first supervisor.
        folders: Folders that are checked before a training.
    """

    application: Application
    study: SearchStudy
    control: RunControl
    plan: WorkerPlan
    pretrained: Path | None
    conditions: StopConditions | None
    first_trainer: TrainerClient | None
    folders: MachineFolders

    def new(self, index: int) -> SupervisorContext:
        """Create the context of one supervisor, in its thread."""
        application, spec = self.application, self.study.spec
        # NSGA-II selects parents from all trials, and slices are children of all others.
        window = None if spec.sampler.name == "nsga2" or spec.shared_weights is not None else WINDOW_TRIALS
        own_study = application.open_study(self.study.name, window=window)
        trainer = self.first_trainer if index == 0 else None
        if trainer is None:
            trainer = self.plan.new_trainer(application, spec, index, self.control, self.study.dataset_summary)
        teacher = cache(partial(fetch_teacher, own_study, application.settings.data_folder.absolute()))
        return SupervisorContext(
            own_study, application.slots(own_study), trainer, application.checkpoints(self.study.name),
            self.pretrained, teacher if spec.distillation.teacher is not None else None,
            cache(partial(fetch_elastic_weights, own_study, application.settings.data_folder.absolute())),
            self.conditions, application.finished_results(self.study.name), self.folders,
        )  # fmt: skip


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
        front=[FrontPoint(r.number, r.family, r.score, r.cost or 1) for r in summarize_front(study).front],
        counts_baseline=study.spec.counts_baseline,
        live=application.live_view,
        pair=study.spec.pair,
    ) as progress:
        yield progress


def _search_progress(
    application: Application, study: SearchStudy, listener: Listener, control: RunControl
) -> AbstractContextManager[object]:
    """Context manager that reports the progress of a search; a grid and finals have no target and no front."""
    if study.spec.grid is not None or study.spec.finals is not None or control.baseline_only:
        return nullcontext()
    is_live = isinstance(listener, Progress) and listener.is_live
    return SearchProgressThread(
        SearchMonitor(study, max_outage_seconds=0.0).progress,
        listener,
        on_failure=lambda text: application.errors.print(text, markup=False),
        interval_seconds=_LIVE_PROGRESS_SECONDS if is_live else _PROGRESS_SECONDS,
        at_once=is_live,
    )


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
    application.finished_results(study.name).remove_ended(ended)


def study_verdict(study: SearchStudy) -> str:
    """Return the verdict of a search or a grid on validation images."""
    settings = gather_settings(study.spec, study.records())
    return summarize_front(study).verdict if settings is None else settings.verdict
