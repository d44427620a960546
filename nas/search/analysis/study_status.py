"""How far a study is and how fast it goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from nas.search.analysis.front_summary import summarize_front
from nas.search.search_study import SearchStudy
from nas.search.storage.slot_leases import BASELINE_SLOT, Slots
from nas.search.storage.trial_records import TrialRecord

_WINDOW = timedelta(hours=1)


@dataclass(frozen=True)
class Status:
    """A study's state.

    Attributes:
        done: Slots of the budget that are used up.
        has_baseline: Whether there is one to be trained beside the budget's trials.
        baseline_done: Whether the baseline's slot is used up, which it is from the beginning where there is none.
        baseline_failure: Why it gave no result, if so.
        states: The budget's trials by optuna's state; PAUSED are those that run for optuna while no worker has them.
        stopped: How many trials were stopped because they fell behind.
        epochs_saved: Which they were not trained for.
        workers: Who holds a lease now.
        trials_per_hour: Over the last hour in which trials ended; None before the first.
        seconds_left: Until the budget is spent at that pace; None when nobody works.
    """

    study: str
    data: str
    budget: int
    done: int
    has_baseline: bool
    baseline_done: bool
    baseline_failure: str | None
    states: dict[str, int]
    stopped: int
    epochs_saved: int
    workers: tuple[str, ...]
    trials_per_hour: float | None
    seconds_left: float | None
    best_macro_f1: float | None


def study_status(study: SearchStudy, slots: Slots) -> Status:
    """Read a study's state."""
    owners = slots.owners()
    summary = summarize_front(study)
    counts, baseline_done, is_beside = slots.remaining(), slots.baseline_done(), not study.spec.counts_baseline
    to_go = counts.open + counts.leased - (is_beside and not baseline_done)
    records = study.records()
    trials = [record for record in records if not (is_beside and record.is_baseline)]
    pace = trials_per_hour(trials)
    # Who took over that a twin was stopped would not have been trained in any case.
    stops = [record.stopped_at or 0 for record in records if record.stopped_early]
    return Status(
        study=study.name,
        data=study.facts.name,
        budget=study.spec.budget.trials,
        done=counts.done - (is_beside and baseline_done),
        has_baseline=study.spec.baseline.enabled and is_beside,
        baseline_done=baseline_done,
        baseline_failure=summary.baseline_failure,
        states=_states(trials, {owner.trial_id for owner in owners}),
        stopped=len(stops),
        epochs_saved=sum(study.spec.budget.epochs - epoch for epoch in stops),
        workers=tuple(f"{owner.name} ({_task(owner.slot, is_beside)})" for owner in owners),
        trials_per_hour=pace,
        seconds_left=0.0 if to_go == 0 else 3600 * to_go / pace if pace and owners else None,
        best_macro_f1=summary.best.macro_f1 if summary.best else None,
    )


def _states(records: Sequence[TrialRecord], held: set[int | None]) -> dict[str, int]:
    """How many trials are in each state; `held` are the identifiers of those that a worker has."""
    return dict(
        Counter(
            "PAUSED" if record.state == "RUNNING" and record.trial_id not in held else record.state
            for record in records
        )
    )


def trials_per_hour(records: Sequence[TrialRecord]) -> float | None:
    """Trials ended per hour, over the last hour of the study's working time; None before the first has ended."""
    spans: list[tuple[datetime, datetime]] = [
        (record.started, record.ended)
        for record in records
        if record.started and record.ended and record.state in ("COMPLETE", "PRUNED")
    ]
    if not spans:
        return None
    last = max(ended for _, ended in spans)
    recent = [(started, ended) for started, ended in spans if last - ended <= _WINDOW]
    first = max(min(started for started, _ in recent), last - _WINDOW)
    hours = (last - first).total_seconds() / 3600
    return len(recent) / hours if hours > 0 else None


def _task(slot: int, has_baseline_slot: bool) -> str:
    return "baseline" if has_baseline_slot and slot == BASELINE_SLOT else f"slot {slot}"
