"""Creation of a study and run of its trials, for the command line and for Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nas.commands.composition.application import Application
from nas.commands.composition.network_timing import NetworkTimer
from nas.commands.composition.run_trials import WorkerPlan, run_trials
from nas.commands.composition.study_creation import create_checked_study
from nas.search.search_study import SearchStudy
from nas.study.study_spec import StudySpec
from nas.worker.supervisor.supervisor_context import RunControl


def run_search(
    application: Application,
    spec: StudySpec,
    plan: WorkerPlan,
    control: RunControl,
    weights: Path | None = None,
    *,
    strict: bool = False,
    on_created: Callable[[SearchStudy, NetworkTimer], None] = lambda study, timer: None,
) -> tuple[SearchStudy, bool]:
    """Create or open a study, and run its trials until the budget is spent, the search ends or it is stopped.

    Args:
        weights: See `Application.find_weights`.
        strict: See `create_checked_study`.
        on_created: Called with the study before its first trial.

    Returns:
        The study, and True if all supervisors ended (`run_trials`).
    """
    # Before the data are loaded, which may take long.
    application.machine_folders.require()
    trainer = plan.new_trainer(application, spec, 0, control)
    try:
        timer = NetworkTimer.of(application, spec, trainer, plan.num_workers)
        study = create_checked_study(application, spec, timer, weights, strict=strict)
        on_created(study, timer)
        return study, run_trials(application, study, control, plan, first_trainer=trainer)
    finally:
        trainer.close()
