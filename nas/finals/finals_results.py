"""Results of finals: scores of each finalist on the test images over its seeds, compared with a reference.

The reference is the baseline, or the first setting of a grid without one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nas.finals.finalist_result import Comparison, FinalistResult, compare_at_looks
from nas.finals.finalists import BASELINE
from nas.finals.paired_comparison import interval_over_images
from nas.finals.score_influence import ComparedScore
from nas.results.metrics import METRIC_NAMES
from nas.results.outcome import FailureReason
from nas.results.predictions_on_test_images import Predictions
from nas.results.seed_spread import Spread
from nas.search.storage.trial_records import TrialRecord
from nas.space.reference_models import FileArchitecture, NumberArchitecture
from nas.study.costs_spec import DEFAULT_OBJECTIVES, ObjectivePair
from nas.study.final_runs import FinalRun, FinalsSpec
from nas.study.score_definitions import MACRO_F1
from nas.study.target_spec import DEFAULT_TOLERANCE

_DIVERGED: FailureReason = "diverged"


@dataclass(frozen=True)
class FinalResults:
    """Results of the finals of a study.

    Attributes:
        reference_name: Name of the reference.
        has_baseline: True if the reference is the baseline.
        finalist_results: The reference first, if it has a result, then the finalists: in the order of their tests, and
            those that stand outside of it smallest first, or a grid's settings in its order.
        classes: Names of the classes.
        num_missing: Number of runs without a result that may still be trained.
        baseline_epochs: Epochs of a baseline that is trained for other epochs than the finalists; else None.
        sequence: Names of the finalists in the order of their tests; empty for a grid.
        looks: See `FinalsSpec.looks`.
        margin: Non-inferiority margin of the comparisons.
        tolerance: Tolerance of the search's target, if it has one relative to the baseline.
        target_score: Target of a search that is a number, which a finalist must have on the test images; else None.
        damaged: Runs that are left out since their predictions are missing or damaged, one line each.
        reference_number: Reference that is a number from elsewhere; else None.
        other_numbers: Other baselines that are numbers from elsewhere.
        pair: Score and cost by which networks are compared.
        diverged: Seeds from which the training of a finalist diverged, by the finalist's name. It has failed: another
            attempt with the same seed would be a choice among results.
    """

    study: str
    finals: str
    classes: tuple[str, ...]
    num_test: int
    reference_name: str
    has_baseline: bool
    finalist_results: tuple[FinalistResult, ...]
    num_missing: int
    baseline_epochs: int | None = None
    sequence: tuple[str, ...] = ()
    looks: tuple[int, ...] = ()
    margin: float = DEFAULT_TOLERANCE
    tolerance: float | None = None
    target_score: float | None = None
    damaged: tuple[str, ...] = ()
    reference_number: NumberArchitecture | None = None
    other_numbers: tuple[NumberArchitecture, ...] = ()
    pair: ObjectivePair = DEFAULT_OBJECTIVES
    diverged: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def numbers(self) -> tuple[tuple[NumberArchitecture, str], ...]:
        """Baselines that are numbers from elsewhere, each with what a table says of it: "compared with" or nothing."""
        reference = () if self.reference_number is None else ((self.reference_number, "compared with"),)
        return (*reference, *((number, "-") for number in self.other_numbers))

    @property
    def reference(self) -> FinalistResult | None:
        return next((one for one in self.finalist_results if one.name == self.reference_name), None)

    @property
    def finalists(self) -> tuple[FinalistResult, ...]:
        return tuple(one for one in self.finalist_results if one.name != self.reference_name)

    def find(self, name: str) -> FinalistResult | None:
        """Return the result of a finalist; None before its first run."""
        return next((one for one in self.finalist_results if one.name == name), None)

    def has_held(self, finalist: FinalistResult) -> bool:
        """Return True if a finalist held: no worse than the baseline by the margin, or at a target that is a number."""
        if finalist.name in self.diverged:
            return False
        if self.target_score is None:
            return finalist.held
        is_open = finalist.comparison is None or finalist.comparison.decision == "open"
        return not is_open and finalist.score.mean >= self.target_score

    @property
    def answer(self) -> FinalistResult | None:
        """Last finalist of the sequence that held, with all before it; None if the first did not."""
        answer = None
        for name in self.sequence:
            finalist = self.find(name)
            if finalist is None or not self.has_held(finalist):
                break
            answer = finalist
        return answer

    @property
    def first_not_held(self) -> str | None:
        """Name of the first finalist of the sequence that failed or is not tested yet; None if all held."""
        tested = self.sequence.index(self.answer.name) + 1 if self.answer is not None else 0
        return self.sequence[tested] if tested < len(self.sequence) else None

    @property
    def winner(self) -> FinalistResult | None:
        """Finalist that the verdict is about: the answer, else the first of the sequence.

        For a grid the setting with the highest mean score, which without a baseline may be the reference itself.
        """
        if self.sequence:
            return self.answer or self.find(self.sequence[0])
        eligible = self.finalists if self.has_baseline else self.finalist_results
        non_inferior = [one for one in eligible if one.held]
        if self.has_baseline and non_inferior:
            return non_inferior[0]
        return max(eligible, key=lambda one: one.score.mean, default=None)


@dataclass(frozen=True)
class FinalsTests:
    """Settings of the tests of finals.

    Attributes:
        margin: Non-inferiority margin.
        sequence: Names of the finalists in the order of their tests.
        tolerance: See `FinalResults`, as the following.
    """

    margin: float = DEFAULT_TOLERANCE
    sequence: tuple[str, ...] = ()
    tolerance: float | None = None
    target_score: float | None = None
    baseline_epochs: int | None = None
    reference_number: NumberArchitecture | None = None
    other_numbers: tuple[NumberArchitecture, ...] = ()
    pair: ObjectivePair = DEFAULT_OBJECTIVES


def collect_finals(
    finals: str,
    spec: FinalsSpec,
    classes: tuple[str, ...],
    num_test: int,
    records: Sequence[TrialRecord],
    predictions: Mapping[int, Predictions],
    tests: FinalsTests,
) -> FinalResults:
    """Collect the results of final runs.

    Args:
        finals: Name of the finals study.
        records: Its trials.
        predictions: Test-image predictions of runs with a result, by trial number.
    """
    by_seed, runs = _records_by_seed(spec.runs, records, predictions), spec.runs
    diverged = _diverged_seeds(runs, records, by_seed)
    reference, has_baseline = (BASELINE, True) if spec.sequence else (runs[0].finalist, runs[0].is_baseline)
    predictions_of = {
        name: {seed: predictions[one.number] for seed, one in group.items()} for name, group in by_seed.items()
    }
    number_cost = None if tests.reference_number is None else tests.reference_number.params
    reference_cost = _lowest_cost(by_seed.get(reference, {}).values()) or number_cost
    score = ComparedScore.named(tests.pair.score, classes)
    trials = {run.finalist: run.trial for run in runs}
    finalist_results = [
        _finalist_result(
            name, trials[name], group, reference_cost, predictions_of[name], score,
            None if name == reference
            else compare_at_looks(
                predictions_of[name], _reference_scores(tests, predictions_of.get(reference, {})), spec, tests.margin,
                score=score, fails_early=tests.target_score is None,
            ),
        )
        for name, group in by_seed.items() if group
    ]  # fmt: skip
    finalist_results = [replace(one, diverged=diverged.get(one.name, ())) for one in finalist_results]
    if has_baseline:
        places = {name: place for place, name in enumerate(tests.sequence)}
        finalist_results.sort(key=lambda one: (one.name != reference, places.get(one.name, len(places)), one.cost))
    num_missing = len(runs) - sum(map(len, by_seed.values())) - sum(map(len, diverged.values()))
    return FinalResults(
        spec.study, finals, classes, num_test, reference, has_baseline, tuple(finalist_results),
        num_missing, tests.baseline_epochs, tests.sequence, spec.looks,
        tests.margin, tests.tolerance, tests.target_score, reference_number=tests.reference_number,
        other_numbers=tests.other_numbers, pair=tests.pair, diverged=diverged,
    )  # fmt: skip


def _diverged_seeds(
    runs: Sequence[FinalRun], records: Sequence[TrialRecord], by_seed: Mapping[str, Mapping[int, TrialRecord]]
) -> dict[str, tuple[int, ...]]:
    """Return the seeds from which finalists diverged; a baseline's stay open, since all are compared with it."""
    seeds: dict[str, set[int]] = {}
    for record in records:
        if record.reason == _DIVERGED and record.run is not None and record.run < len(runs):
            run = runs[record.run]
            if not run.is_baseline and run.seed not in by_seed[run.finalist]:
                seeds.setdefault(run.finalist, set()).add(run.seed)
    return {name: tuple(sorted(found)) for name, found in seeds.items()}


def _reference_scores(tests: FinalsTests, predictions: Mapping[int, Predictions]) -> Mapping[int, Predictions] | float:
    """Return what finalists are compared with: predictions by seed, or a number from elsewhere."""
    return predictions if tests.reference_number is None else tests.reference_number.score


def _records_by_seed(
    runs: Sequence[FinalRun], records: Sequence[TrialRecord], predictions: Mapping[int, Predictions]
) -> dict[str, dict[int, TrialRecord]]:
    """Return the runs with a result of each finalist, by ascending seed."""
    records_of: dict[str, dict[int, TrialRecord]] = {run.finalist: {} for run in runs}
    for record in records:
        if record.objectives is None or record.run is None or record.number not in predictions:
            continue
        # Runs added after the specification was read are left to the next call.
        if record.run < len(runs):
            run = runs[record.run]
            records_of[run.finalist][run.seed] = record
    return {name: dict(sorted(group.items())) for name, group in records_of.items()}


def _lowest_cost(records: Iterable[TrialRecord]) -> float | None:
    """Return the cost of a network; measured ones differ between its seeds by the machine's load."""
    return min((one.cost for one in records if one.cost), default=None)


def _finalist_result(
    name: str,
    trial: int,
    by_seed: Mapping[int, TrialRecord],
    reference_cost: float | None,
    predictions: Mapping[int, Predictions],
    compared: ComparedScore,
    comparison: Comparison | None,
) -> FinalistResult:
    group = tuple(by_seed.values())
    first = group[0]
    is_file = first.genome is not None and isinstance(first.genome.architecture, FileArchitecture)
    # A model file is scored once; the runs of other seeds repeat its result.
    group = group[:1] if is_file else group
    metrics = {metric: Spread.of([one.metrics[metric] for one in group]) for metric in METRIC_NAMES}
    score = Spread.of([one.score for one in group])
    if is_file:
        scored_once = predictions[next(iter(by_seed))]
        metrics["f1_macro"] = Spread(first.macro_f1, None, *interval_over_images(scored_once))
        score = Spread(first.score, None, *interval_over_images(scored_once, compared))
    cost = _lowest_cost(group) or 0
    return FinalistResult(
        name=name,
        trial=trial,
        family=first.family,
        params=first.params or 0,
        flops=first.flops or 0,
        records=group,
        metrics=metrics,
        class_f1=tuple(Spread.of([one.per_class[index].f1 for one in group]) for index in range(len(first.per_class))),
        score=metrics["f1_macro"] if compared.definition.name == MACRO_F1 else score,
        cost=cost,
        comparison=comparison,
        times_smaller=None if reference_cost is None or not cost else reference_cost / cost,
        seeds=tuple(by_seed),
    )
