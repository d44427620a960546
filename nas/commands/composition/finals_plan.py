"""Plan of finals: choice of finalists at the first call, seeds of the tests, and the results so far."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nas.errors import StudyError
from nas.finals.finalist_sequence import DEFAULT_FINALISTS, order_by_score
from nas.finals.finalists import (
    BASELINE,
    choose_finalists,
    choose_settings,
    first_setting,
    more_seeds,
    other_baseline_name,
    planned_runs,
)
from nas.finals.finals_results import FinalResults, FinalsTests, collect_finals
from nas.finals.finals_study import damaged_runs, finals_name, find_finals, read_predictions
from nas.finals.training_order import RunPlan
from nas.search.analysis.front_summary import FrontSummary, summarize_front
from nas.search.analysis.grid_results import SettingResults, gather_settings
from nas.search.search_study import SearchStudy
from nas.search.storage.trial_records import NUMBER, TrialRecord
from nas.space.reference_models import NumberArchitecture
from nas.study.final_runs import FinalRun, FinalsSpec, finalist_name
from nas.study.plugin_objectives import is_plugin_metric

DEFAULT_SEEDS = 5


@dataclass(frozen=True)
class FinalsRequest:
    """Finals as the command line asks for them.

    Attributes:
        seeds: Trainings of each network; None for those planned so far.
        only: Numbers of those to train now, from 1; empty for all.
        trials: Numbers of trials that are finalists.
        top: Number of front members or settings with the highest score that are finalists.
        finalists: Largest number of finalists in the sequence down the front.
        margin: Non-inferiority margin; None for the tolerance of the study's target.
        baseline_only: Train the baseline alone, and leave the choice of the finalists to a later call.
    """

    seeds: int | None = None
    only: tuple[int, ...] = ()
    trials: tuple[int, ...] = ()
    top: int | None = None
    finalists: int | None = None
    margin: float | None = None
    baseline_only: bool = False

    def margin_of(self, study: SearchStudy) -> float:
        """Non-inferiority margin."""
        return study.spec.target.margin if self.margin is None else self.margin


def plan_finals(study: SearchStudy, request: FinalsRequest, batch: int) -> tuple[FinalsSpec, RunPlan | None]:
    """Return the specification of the finals with all that this call adds, and the plan of the sequence's runs.

    The first call that is not for the baseline alone chooses the finalists and their order. Finalists that a later call
    names are trained and compared outside of the sequence, since the results so far may have led to them.

    Args:
        batch: See `RunPlan`.

    Returns:
        No plan where all runs are in the specification: for a grid, for the baseline alone, and for finals of a version
        without a sequence.

    Raises:
        StudyError: There is nothing to train again, or nothing to compare it with.
    """
    finals_study = find_finals(study)
    known = finals_study.spec.finals if finals_study is not None else None
    if request.baseline_only:
        return _with_baseline_runs(study, request, known), None
    if known is not None and known.awaits_finalists:
        spec, known = known.with_sequence(_sequence(study, request)), None
    else:
        spec = known or _new_finals(study, request)
    names_finalists = bool(request.trials) or request.top is not None
    if not spec.sequence:
        return _with_all_runs(study, request, spec, names_finalists=names_finalists), None
    if known is not None and request.finalists is not None:
        raise StudyError(f"the finalists of {study.name!r} are fixed by its first finals; leave --finalists out")
    spec = spec.with_look(request.seeds or (0 if spec.looks else DEFAULT_SEEDS))
    seeds = _seeds(spec, request)
    if known is not None and names_finalists:
        chosen = {finalist_name(one.number): one for one in _choose(study, request)}
        spec = spec.with_runs(planned_runs(chosen, seeds))
    elif known is not None:
        # Finalists outside of the sequence have the seeds of all tests.
        apart = {*spec.sequence, *(one.number for one in summarize_front(study).other_baselines)}
        outside = [run for run in spec.runs if not run.is_baseline and run.trial not in apart]
        spec = spec.with_runs(more_seeds(outside, seeds) if outside else [])
    summary = summarize_front(study)
    baseline = _baseline_record(study, summary)
    others = {other_baseline_name(one.other_baseline or ""): one for one in summary.other_baselines if _has_runs(one)}
    finalists = {finalist_name(number): study.record(number) for number in spec.sequence} | others
    reference = {BASELINE: baseline} if _has_runs(baseline) else {}
    templates = {run.finalist: run for run in planned_runs({**reference, **finalists}, [spec.first_seed])}
    templates = {name: _with_own_epochs(study, run) for name, run in templates.items()}
    return spec, RunPlan(templates, BASELINE if reference else None, seeds, batch, tuple(others))


def read_results(study: SearchStudy, finals_study: SearchStudy, *, margin: float | None = None) -> FinalResults:
    """Return the results of the finals so far.

    Args:
        margin: Non-inferiority margin; None for the tolerance of the study's target.
    """
    spec = finals_study.spec.finals
    assert spec is not None
    if is_plugin_metric(study.spec.pair.score):
        # Imported here: the user's module may import torch.
        from nas.training.load_plugins import load_plugins

        load_plugins(study.spec.plugins)
    records = finals_study.records()
    sequence = tuple(finalist_name(number) for number in spec.sequence)
    if not sequence and spec.runs[0].is_baseline and study.spec.grid is None:
        scores = {one.number: one.score for one in study.records() if one.objectives is not None}
        sequence = order_by_score(spec.runs, scores)
    target = study.spec.target
    is_relative = study.spec.has_target and target.number is None
    tests = FinalsTests(
        margin=target.margin if margin is None else margin, sequence=sequence,
        tolerance=target.margin if is_relative else None, target_score=target.number,
        baseline_epochs=finals_study.spec.own_baseline_epochs if study.spec.baseline.is_trained else None,
        reference_number=_reference_number(study),
        other_numbers=tuple(
            architecture for one in study.spec.other_baselines
            if isinstance(architecture := one.architecture, NumberArchitecture)
        ),
        pair=study.spec.pair,
    )  # fmt: skip
    dataset, damaged = study.dataset_summary, damaged_runs(finals_study)
    predictions = read_predictions(finals_study, records, lambda record, text: None)
    results = collect_finals(finals_study.name, spec, dataset.classes, dataset.num_test, records, predictions, tests)
    return replace(results, damaged=tuple(damaged.values()))


def no_results(study: SearchStudy, spec: FinalsSpec) -> FinalResults:
    """Return the results of a sequence before its first run."""
    dataset, sequence = study.dataset_summary, tuple(finalist_name(number) for number in spec.sequence)
    tests = FinalsTests(sequence=sequence, reference_number=_reference_number(study), pair=study.spec.pair)
    return collect_finals(finals_name(study.name), spec, dataset.classes, dataset.num_test, [], {}, tests)


def find_results(study: SearchStudy) -> FinalResults | None:
    """Return the results of a study's finals so far; None without any."""
    finals_study = find_finals(study)
    spec = None if finals_study is None else finals_study.spec.finals
    if finals_study is None or spec is None or spec.awaits_finalists or not spec.runs:
        return None
    results = read_results(study, finals_study)
    return results if results.finalist_results else None


def _new_finals(study: SearchStudy, request: FinalsRequest) -> FinalsSpec:
    """Specification of new finals: of a search with its sequence, without runs."""
    first_seed = study.spec.max_seed + 1
    if study.spec.grid is not None:
        return FinalsSpec(study=study.name, runs=(), first_seed=first_seed)
    _baseline_record(study, summarize_front(study))
    return FinalsSpec(study=study.name, runs=(), sequence=_sequence(study, request), first_seed=first_seed)


def _with_baseline_runs(study: SearchStudy, request: FinalsRequest, known: FinalsSpec | None) -> FinalsSpec:
    """Finals with the runs of the baseline alone; the first call fixes their seeds, as those of the finalists."""
    if study.spec.grid is not None:
        raise StudyError(f"--baseline-only: {study.name!r} is a grid, whose settings are all finalists")
    if request.trials or request.top is not None or request.finalists is not None:
        raise StudyError(
            "--baseline-only leaves the finalists to a later call; leave --finalists, --top and --trial out"
        )
    first_seed = study.spec.max_seed + 1
    spec = known or FinalsSpec(study=study.name, runs=(), first_seed=first_seed, awaits_finalists=True)
    spec = spec.with_look(request.seeds or (0 if spec.looks else DEFAULT_SEEDS))
    baseline = _baseline_record(study, summarize_front(study))
    return spec.with_runs(planned_runs({BASELINE: baseline}, _seeds(spec, request)))


def _sequence(study: SearchStudy, request: FinalsRequest) -> tuple[int, ...]:
    return tuple(record.number for record in _choose(study, request))


def _choose(study: SearchStudy, request: FinalsRequest) -> list[TrialRecord]:
    return choose_finalists(
        study, summarize_front(study), margin=request.margin_of(study), trials=request.trials, top=request.top,
        most=request.finalists or DEFAULT_FINALISTS,
    )  # fmt: skip


def _with_all_runs(
    study: SearchStudy, request: FinalsRequest, spec: FinalsSpec, *, names_finalists: bool
) -> FinalsSpec:
    """Add the further seeds of existing runs, and the runs of new finalists or settings, to finals without tests."""
    if request.finalists is not None:
        raise StudyError(f"--finalists is for the front of a search, which the finals of {study.name!r} are not")
    first_seed = spec.runs[0].seed if spec.runs else spec.first_seed
    spec = spec.model_copy(update={"first_seed": first_seed})
    seeds = _seeds(spec, request)
    runs = more_seeds(spec.runs, seeds)
    if not spec.runs or names_finalists:
        summary, settings = summarize_front(study), gather_settings(study.spec, study.records())
        reference = {} if spec.runs else _reference(study, summary, settings)
        if settings is None:
            chosen = {finalist_name(one.number): one for one in _choose(study, request)}
        else:
            chosen = choose_settings(study, settings, trials=request.trials, top=request.top)
        runs += planned_runs({**reference, **chosen}, seeds)
    return spec.with_runs(runs)


def _seeds(spec: FinalsSpec, request: FinalsRequest) -> list[int]:
    """Seeds that a call trains."""
    planned = spec.seeds_of(max(spec.looks, default=request.seeds or DEFAULT_SEEDS))
    beyond = [number for number in request.only if number > len(planned)]
    if beyond:
        raise StudyError(f"--seed {beyond[0]}: the finals have {len(planned)} seeds; --seeds sets another number")
    return [planned[number - 1] for number in request.only] or [*planned]


def _reference(study: SearchStudy, summary: FrontSummary, settings: SettingResults | None) -> dict[str, TrialRecord]:
    """Return the baseline, or the first setting with a result of a grid without one, by name."""
    if settings is None or summary.baseline is not None or study.spec.baseline.enabled:
        return {BASELINE: _baseline_record(study, summary)}
    return first_setting(study, settings)


def _has_runs(baseline: TrialRecord) -> bool:
    """Return False for a baseline that is a number, which has nothing to train or to score."""
    return baseline.source != NUMBER


def _reference_number(study: SearchStudy) -> NumberArchitecture | None:
    """Return the reference if it is a number from elsewhere."""
    architecture = study.spec.baseline.architecture if study.spec.baseline.enabled else None
    return architecture if isinstance(architecture, NumberArchitecture) else None


def _with_own_epochs(study: SearchStudy, run: FinalRun) -> FinalRun:
    """Return a run of another baseline with its own epochs, if it has some."""
    own = [one for one in study.spec.other_baselines if run.finalist == other_baseline_name(one.title)]
    return run.model_copy(update={"epochs": own[0].epochs}) if own and own[0].epochs is not None else run


def _baseline_record(study: SearchStudy, summary: FrontSummary) -> TrialRecord:
    if summary.baseline is not None:
        return summary.baseline
    if study.spec.baseline.enabled:
        raise StudyError(f"the baseline of {study.name!r} has no result to compare with: nas search with its file")
    raise StudyError(f"study {study.name!r} has no baseline to compare with: enabled = false under [baseline]")
