"""Which trials of a search, or settings of a grid, go into the finals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from nas.errors import StudyError
from nas.search.analysis.front_summary import FrontSummary
from nas.search.analysis.grid_results import SettingResult, SettingResults
from nas.search.search_study import SearchStudy
from nas.search.storage.trial_records import TrialRecord
from nas.study.finals_spec import FinalRun, ValidationChoices

BASELINE = "baseline"


def knee(front: Sequence[TrialRecord]) -> TrialRecord | None:
    """The member of a front that is farthest from the line through its ends, both objectives scaled to 1.

    None of fewer than three, and where none lies beyond the line.

    Source: Das, "On characterizing the 'knee' of the Pareto curve", 1999.
    """
    if len(front) < 3:
        return None
    sizes, scores = [math.log10(record.params or 1) for record in front], [record.macro_f1 for record in front]
    width, height = sizes[-1] - sizes[0], scores[-1] - scores[0]
    if width <= 0 or height <= 0:
        return None
    beyond = [(f1 - scores[0]) / height - (size - sizes[0]) / width for size, f1 in zip(sizes, scores, strict=True)]
    farthest = max(range(len(front)), key=beyond.__getitem__)
    return front[farthest] if beyond[farthest] > 0 else None


def choose_finalists(
    study: SearchStudy, summary: FrontSummary, *, trials: Sequence[int] = (), top: int | None = None
) -> dict[str, TrialRecord]:
    """The trials that were asked for, or the front's smallest that equals the baseline, its knee and its best.

    Args:
        trials: Numbers of trials.
        top: So many of the front with the highest macro-F1.

    Returns:
        By the name of the finalist.

    Raises:
        StudyError: A trial is not there or has no result, or the front is empty.
    """
    chosen = [_with_result(study, number) for number in trials]
    if top is not None:
        chosen += sorted(summary.front, key=lambda record: -record.macro_f1)[:top]
    if not trials and top is None:
        chosen = [record for record in (summary.smallest, knee(summary.front), summary.best) if record is not None]
    if not chosen:
        raise StudyError(f"the front of {study.name!r} is empty, there is nothing to train again: nas search first")
    return {f"trial {record.number}": record for record in chosen}


def choose_settings(
    study: SearchStudy, found: SettingResults, *, trials: Sequence[int] = (), top: int | None = None
) -> dict[str, TrialRecord]:
    """The settings of a grid: those of trials that were asked for, or the best, or all that have a result.

    Args:
        trials: Numbers of trials.
        top: So many with the highest mean macro-F1.

    Returns:
        What stands for each setting by its name, in the grid's order.

    Raises:
        StudyError: A trial is not there or has no result, or no setting has one.
    """
    done = _with_results(study, found)
    if not trials and top is None:
        return _samples(done)
    asked = {_with_result(study, number).number for number in trials}
    best = sorted(done, key=lambda one: -one.mean("f1_macro"))[: top or 0]
    return _samples([one for one in done if one in best or any(record.number in asked for record in one.records)])


def first_setting(study: SearchStudy, found: SettingResults) -> dict[str, TrialRecord]:
    """The first setting of a grid that has a result, as `choose_settings` gives it."""
    return _samples(_with_results(study, found)[:1])


def planned_runs(finalists: Mapping[str, TrialRecord], *, num_seeds: int, first_seed: int) -> list[FinalRun]:
    """A run for each seed of each finalist, a seed after the other.

    Args:
        finalists: By name; the first is the one that the others are compared with.
    """
    return [_run(name, record, first_seed + index) for index in range(num_seeds) for name, record in finalists.items()]


def more_seeds(runs: Sequence[FinalRun], *, num_seeds: int, first_seed: int) -> list[FinalRun]:
    """A run for each seed of those that have some."""
    firsts = {run.finalist: run for run in reversed(runs)}
    return [
        firsts[name].model_copy(update={"seed": first_seed + index})
        for index in range(num_seeds)
        for name in dict.fromkeys(run.finalist for run in runs)
    ]


def _run(name: str, record: TrialRecord, seed: int) -> FinalRun:
    assert record.genome is not None, "a trial with a result has a genome"
    return FinalRun(
        finalist=name,
        trial=record.number,
        is_baseline=record.is_baseline,
        seed=seed,
        genome=record.genome,
        choices=ValidationChoices.of(record.genome.recipe, record.figures),
    )


def _with_results(study: SearchStudy, found: SettingResults) -> list[SettingResult]:
    done = [one for one in found.settings if one.records]
    if not done:
        raise StudyError(
            f"no setting of {study.name!r} has a result, there is nothing to train again: nas search first"
        )
    return done


def _samples(settings: Sequence[SettingResult]) -> dict[str, TrialRecord]:
    named = {f"setting {one.name}" if one.name == BASELINE else one.name: one.sample for one in settings}
    return {name: sample for name, sample in named.items() if sample is not None}


def _with_result(study: SearchStudy, number: int) -> TrialRecord:
    record = study.result(number, "compare")
    if record.is_baseline:
        raise StudyError(f"trial {number} of {study.name!r} is the baseline, which takes part in any case")
    return record
