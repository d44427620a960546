"""Which trials of a study go into its finals."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nas.errors import StudyError
from nas.final_runs import Choices, FinalRun
from nas.search.records import TrialRecord
from nas.search.study import SearchStudy
from nas.search.summary import FrontSummary

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
) -> list[TrialRecord]:
    """The trials that were asked for, or the front's smallest that equals the baseline, its knee and its best.

    Args:
        trials: Numbers of trials.
        top: So many of the front with the highest macro-F1.

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
    return list({record.number: record for record in chosen}.values())


def planned_runs(
    baseline: TrialRecord, finalists: Sequence[TrialRecord], *, num_seeds: int, first_seed: int
) -> list[FinalRun]:
    """A run for each seed of the baseline and the finalists, a seed after the other."""
    named = [(BASELINE, baseline), *((f"trial {record.number}", record) for record in finalists)]
    return [
        _run(name, record, first_seed + index)
        for index in range(num_seeds)
        for name, record in named
        if record.genome is not None
    ]


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
        choices=Choices.of(record.figures),
    )


def _with_result(study: SearchStudy, number: int) -> TrialRecord:
    record = study.result(number, "compare")
    if record.is_baseline:
        raise StudyError(f"trial {number} of {study.name!r} is the baseline, which takes part in any case")
    return record
