"""Trials of the baselines: the reference and the others, in a search and in its finals."""

from __future__ import annotations

from typing import Any

from optuna.trial import Trial

from nas.search.storage.slot_conditions import BASELINE_SLOT, FIRST_OTHER_BASELINE_SLOT
from nas.search.storage.trial_records import FILE, NUMBER
from nas.search.trial_tells import RunningTrial
from nas.space.genome import Genome
from nas.space.reference_models import FileArchitecture, NumberArchitecture
from nas.study.final_runs import FinalRun
from nas.study.study_spec import StudySpec


def baseline_attributes(spec: StudySpec, slot: int) -> dict[str, Any] | None:
    """Return the attributes of the trial of a baseline's slot; None for another slot."""
    if slot == BASELINE_SLOT:
        return {"baseline": True}
    if slot < FIRST_OTHER_BASELINE_SLOT:
        return None
    return {"baseline": spec.other_baselines[slot - FIRST_OTHER_BASELINE_SLOT].title}


def baseline_trial(spec: StudySpec, trial: Trial, title: str | bool) -> RunningTrial:
    """Return the trial of the reference, or of the other baseline of that title."""
    baseline, own_epochs = spec.baseline, spec.own_baseline_epochs
    if isinstance(title, str):
        baseline = spec.other_baseline(title)
        own_epochs = None if baseline.epochs == spec.budget.epochs else baseline.epochs
    return RunningTrial(
        trial, baseline.genome, spec.training.seed, is_baseline=True, own_epochs=own_epochs,
        source=_source(baseline.genome),
    )  # fmt: skip


def final_trial(spec: StudySpec, trial: Trial, run: FinalRun) -> RunningTrial:
    """Return the trial of a final run; a model file has one result for all seeds."""
    return RunningTrial(
        trial, run.genome, run.seed, run.is_baseline, run.choices,
        own_epochs=spec.own_baseline_epochs if run.is_baseline else run.epochs, source=_source(run.genome),
    )  # fmt: skip


def teacher_slot(spec: StudySpec) -> int:
    """Return the slot of the baseline that is the teacher of the trials."""
    teacher = spec.teacher_baseline
    if teacher is None or teacher == spec.baseline:
        return BASELINE_SLOT
    return FIRST_OTHER_BASELINE_SLOT + spec.other_baselines.index(teacher)


def _source(genome: Genome) -> str | None:
    """Return the source of a baseline's score: `FILE` or `NUMBER`; None for a network that is trained."""
    match genome.architecture:
        case FileArchitecture():
            return FILE
        case NumberArchitecture():
            return NUMBER
        case _:
            return None
