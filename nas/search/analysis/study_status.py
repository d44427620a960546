"""Study status: progress and throughput."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from nas.search.analysis.front_summary import summarize_front
from nas.search.analysis.search_progress import SearchProgress, search_progress
from nas.search.search_study import SearchStudy
from nas.search.stop_conditions import stop_reason
from nas.search.storage.slot_conditions import BASELINE_SLOT, FIRST_INHERITED_SLOT
from nas.search.storage.slot_counts import SharedCounts
from nas.search.storage.slot_leases import Slots
from nas.search.storage.trial_records import TrialRecord
from nas.search.target import Target

_WINDOW = timedelta(hours=1)


@dataclass(frozen=True)
class Status:
    """Status of a study.

    Attributes:
        done: Number of done slots of the budget.
        has_baseline: True if a baseline is trained in addition to the budget's trials.
        baseline_done: True if the baseline's slot is done, or the study has no baseline.
        baseline_failure: Reason of its failure; None without one.
        states: Number of the budget's trials by Optuna's state; PAUSED are running trials without a worker.
        stopped: Number of trials that early stopping ended.
        epochs_saved: Epochs for which those trials were not trained.
        workers: Owners of the current leases.
        running: Progress of each running training in one line, by the name of its slot.
        trials_per_hour: Throughput over the last hour in which trials ended; None before the first.
        seconds_left: Time until the budget is used up at that rate; None without workers; 0 if the search has ended.
        stop_reason: Stop condition that ended the search, in words; None while it goes on, or if its budget is spent.
        search_progress: Progress of the search in one sentence; None for a grid and finals, as the following.
        target: Target of the search; None without one, or before anything is known of the baseline.
        answer: Number of the trial with the smallest network at the target; None before the first.
        minutes_since_improvement: Minutes of search since the last improvement; None before the first result.
        shared_weights: Elastic trainings and scored slices; None in a study without.
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
    running: dict[str, str]
    stop_reason: str | None
    search_progress: str | None
    target: Target | None
    answer: int | None
    minutes_since_improvement: float | None
    shared_weights: SharedCounts | None


def study_status(study: SearchStudy, slots: Slots) -> Status:
    """Compute the status of a study."""
    owners = slots.owners()
    summary = summarize_front(study)
    counts, baseline_done, has_own_slot = slots.counts(), slots.baseline_done(), not study.spec.counts_baseline
    num_left = counts.open + counts.leased - (has_own_slot and not baseline_done)
    records = study.records()
    trials = [record for record in records if record.is_searched or (record.is_baseline and not has_own_slot)]
    rate = trials_per_hour(trials)
    progress, reason = _search_progress(study, slots, records)
    reason = None if num_left == 0 else reason
    has_ended = num_left == 0 or (reason is not None and not owners)
    # Without duplicates, which would not have been trained in any case.
    stopped_epochs = [record.stopped_at or 0 for record in records if record.stopped_early]
    return Status(
        study=study.name,
        data=study.dataset_summary.name,
        budget=study.spec.budget.trials,
        done=counts.done - (has_own_slot and baseline_done),
        has_baseline=study.spec.baseline.enabled and has_own_slot,
        baseline_done=baseline_done,
        baseline_failure=summary.baseline_failure,
        states=_count_states(trials, {owner.trial_id for owner in owners}),
        stopped=len(stopped_epochs),
        epochs_saved=sum(study.spec.budget.epochs - epoch for epoch in stopped_epochs),
        workers=tuple(f"{owner.name} ({_task(owner.slot, has_own_slot)})" for owner in owners),
        trials_per_hour=rate,
        seconds_left=0.0 if has_ended else 3600 * num_left / rate if rate and owners else None,
        best_macro_f1=summary.best.score if summary.best else None,
        running={_task(owner.slot, has_own_slot): owner.progress for owner in owners if owner.progress},
        stop_reason=reason,
        search_progress=None if progress is None else progress.text,
        target=None if progress is None else progress.target,
        answer=None if progress is None or progress.answer is None else progress.answer.number,
        minutes_since_improvement=None if progress is None else progress.minutes_since_improvement,
        shared_weights=None if study.spec.shared_weights is None else slots.shared_counts(),
    )


def _search_progress(
    study: SearchStudy, slots: Slots, records: Sequence[TrialRecord]
) -> tuple[SearchProgress | None, str | None]:
    """Return the progress of a search and the stop condition that holds; None for a grid and finals."""
    spec = study.spec
    if spec.grid is not None or spec.finals is not None:
        return None, None
    now, interrupted = datetime.now(), slots.interrupted_trial_ids()
    return search_progress(spec, records, now, interrupted), stop_reason(spec, records, now, interrupted)


def _count_states(records: Sequence[TrialRecord], leased_trial_ids: set[int | None]) -> dict[str, int]:
    """Count the trials by state; running trials without a lease count as PAUSED."""
    return dict(
        Counter(
            "PAUSED" if record.state == "RUNNING" and record.trial_id not in leased_trial_ids else record.state
            for record in records
        )
    )


def trials_per_hour(records: Sequence[TrialRecord]) -> float | None:
    """Return completed and pruned trials per hour in the last hour of working time; None before the first."""
    intervals: list[tuple[datetime, datetime]] = [
        (record.started, record.ended)
        for record in records
        if record.started and record.ended and record.state in ("COMPLETE", "PRUNED")
    ]
    if not intervals:
        return None
    last = max(ended for _, ended in intervals)
    recent = [(started, ended) for started, ended in intervals if last - ended <= _WINDOW]
    first = max(min(started for started, _ in recent), last - _WINDOW)
    hours = (last - first).total_seconds() / 3600
    return len(recent) / hours if hours > 0 else None


def _task(slot: int, has_baseline_slot: bool) -> str:
    if slot < BASELINE_SLOT:
        return f"elastic network {-slot}"
    if slot >= FIRST_INHERITED_SLOT:
        return f"slice {slot - FIRST_INHERITED_SLOT + 1}"
    return "baseline" if has_baseline_slot and slot == BASELINE_SLOT else f"slot {slot}"
