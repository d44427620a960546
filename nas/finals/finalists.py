"""Choice of finalists among the trials of a search or the settings of a grid, and their final runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nas.errors import StudyError
from nas.finals.finalist_sequence import DEFAULT_FINALISTS, sequence_down_the_front
from nas.search.analysis.front_summary import FrontSummary
from nas.search.analysis.grid_results import SettingResult, SettingResults
from nas.search.search_study import SearchStudy
from nas.search.storage.trial_records import TrialRecord
from nas.study.final_runs import FinalRun, ValidationChoices
from nas.study.target_spec import DEFAULT_TOLERANCE

BASELINE = "baseline"


def choose_finalists(
    study: SearchStudy,
    summary: FrontSummary,
    *,
    margin: float = DEFAULT_TOLERANCE,
    trials: Sequence[int] = (),
    top: int | None = None,
    most: int = DEFAULT_FINALISTS,
) -> list[TrialRecord]:
    """Choose the requested trials, or a sequence down the front; highest score first.

    Args:
        margin: Non-inferiority margin.
        trials: Numbers of requested trials.
        top: Number of front members to choose by highest score.
        most: Number of finalists of the sequence at most.

    Raises:
        StudyError: A trial does not exist or has no result, or the front is empty.
    """
    chosen = [_finalist_record(study, number) for number in trials]
    if top is not None:
        chosen += sorted(summary.front, key=lambda record: -record.score)[:top]
    if not trials and top is None:
        chosen = sequence_down_the_front(summary, margin=margin, most=most)
    if not chosen:
        raise StudyError(f"the front of {study.name!r} is empty, there is nothing to train again: nas search first")
    by_number = {record.number: record for record in chosen}
    return sorted(by_number.values(), key=lambda record: (-record.score, record.number))


def choose_settings(
    study: SearchStudy, settings: SettingResults, *, trials: Sequence[int] = (), top: int | None = None
) -> dict[str, TrialRecord]:
    """Choose settings of a grid: those of requested trials, the best, or all with a result.

    Args:
        trials: Numbers of requested trials.
        top: Number of settings to choose by highest mean score.

    Returns:
        Representative record of each setting by its name, in the grid's order.

    Raises:
        StudyError: A trial does not exist or has no result, or no setting has one.
    """
    complete = _settings_with_results(study, settings)
    if not trials and top is None:
        return _representatives(complete)
    requested = {_finalist_record(study, number).number for number in trials}
    best = sorted(complete, key=lambda one: -one.mean_score)[: top or 0]
    chosen = [one for one in complete if one in best or any(record.number in requested for record in one.records)]
    return _representatives(chosen)


def first_setting(study: SearchStudy, settings: SettingResults) -> dict[str, TrialRecord]:
    """Return the first setting of a grid with a result, in the form of `choose_settings`."""
    return _representatives(_settings_with_results(study, settings)[:1])


def planned_runs(finalists: Mapping[str, TrialRecord], seeds: Iterable[int]) -> list[FinalRun]:
    """Plan one run for each seed of each finalist, ordered by seed.

    Args:
        finalists: Records by name; the first is the reference of the comparisons.
    """
    return [_run(name, record, seed) for seed in seeds for name, record in finalists.items()]


def more_seeds(runs: Sequence[FinalRun], seeds: Iterable[int]) -> list[FinalRun]:
    """Plan one run for each seed of the finalists of existing runs."""
    firsts = {run.finalist: run for run in reversed(runs)}
    names = dict.fromkeys(run.finalist for run in runs)
    return [firsts[name].model_copy(update={"seed": seed}) for seed in seeds for name in names]


def other_baseline_name(title: str) -> str:
    """Name of a baseline that is not the reference, as a finalist outside of the sequence."""
    return f"{BASELINE} {title}"


def _run(name: str, record: TrialRecord, seed: int) -> FinalRun:
    assert record.genome is not None, "a trial with a result has a genome"
    return FinalRun(
        finalist=name,
        trial=record.number,
        is_baseline=record.is_reference,
        seed=seed,
        genome=record.genome,
        choices=ValidationChoices.of(record.genome.recipe, record.figures),
    )


def _settings_with_results(study: SearchStudy, settings: SettingResults) -> list[SettingResult]:
    complete = [one for one in settings.settings if one.records]
    if not complete:
        raise StudyError(
            f"no setting of {study.name!r} has a result, there is nothing to train again: nas search first"
        )
    return complete


def _representatives(settings: Sequence[SettingResult]) -> dict[str, TrialRecord]:
    named = {f"setting {one.name}" if one.name == BASELINE else one.name: one.representative for one in settings}
    return {name: record for name, record in named.items() if record is not None}


def _finalist_record(study: SearchStudy, number: int) -> TrialRecord:
    record = study.record_with_result(number, "compare")
    if record.is_baseline:
        raise StudyError(f"trial {number} of {study.name!r} is the baseline, which takes part in any case")
    return record
