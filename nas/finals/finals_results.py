"""Results of finals: scores of each finalist on the test images over its seeds, compared with a reference.

The reference is the baseline, or the first setting of a grid without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nas.finals.paired_bootstrap import Difference, compare
from nas.results.metrics import METRIC_NAMES
from nas.results.predictions_on_test_images import Predictions
from nas.results.seed_spread import Spread
from nas.search.analysis.front_summary import network_name
from nas.search.storage.trial_records import TrialRecord
from nas.study.final_runs import FinalRun

DEFAULT_MARGIN = 0.01
_ALPHA = 0.05


@dataclass(frozen=True)
class FinalistResult:
    """Result of one finalist, or the reference, over its seeds.

    Attributes:
        name: See `FinalRun.finalist`.
        records: Runs with a result.
        metrics: Averaged scores by name.
        class_f1: F1 of each class, in the order of classes.
        difference: Difference from the reference's macro-F1; None for the reference, and while either has no result.
        times_smaller: Ratio of the reference's parameters to the finalist's.
    """

    name: str
    trial: int
    family: str
    params: int
    flops: int
    records: tuple[TrialRecord, ...]
    metrics: dict[str, Spread]
    class_f1: tuple[Spread, ...]
    difference: Difference | None
    times_smaller: float | None

    @property
    def macro_f1(self) -> Spread:
        return self.metrics["f1_macro"]

    @property
    def ruling(self) -> str:
        """Outcome of the comparison with the reference in a few words; empty without a comparison."""
        difference = self.difference
        if difference is None:
            return ""
        if difference.p_equal < _ALPHA and difference.mean > 0:
            return f"better (p {_p_value_text(difference.p_equal)})"
        if difference.p_worse < _ALPHA:
            return f"no worse by {difference.margin:g} (p {_p_value_text(difference.p_worse)})"
        if difference.p_equal < _ALPHA:
            return f"worse (p {_p_value_text(difference.p_equal)})"
        return f"undecided (p {_p_value_text(difference.p_equal)})"

    @property
    def is_non_inferior(self) -> bool:
        """True if the finalist is better than the reference or no worse by the margin."""
        return self.ruling.startswith(("better", "no worse"))


@dataclass(frozen=True)
class FinalResults:
    """Results of the finals of a study.

    Attributes:
        reference_name: Name of the reference.
        has_baseline: True if the reference is the baseline.
        finalist_results: The reference first, if it has a result, then the finalists: smallest first, or a grid's
            settings in its order.
        classes: Names of the classes.
        num_missing: Number of runs without a result.
        baseline_epochs: Epochs of a baseline that is trained for other epochs than the finalists; else None.
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

    @property
    def reference(self) -> FinalistResult | None:
        return next((one for one in self.finalist_results if one.name == self.reference_name), None)

    @property
    def finalists(self) -> tuple[FinalistResult, ...]:
        return tuple(one for one in self.finalist_results if one.name != self.reference_name)

    @property
    def winner(self) -> FinalistResult | None:
        """Smallest finalist that is better or no worse than the baseline; else that with the highest mean macro-F1.

        For a grid without a baseline the latter, which may be the reference itself.
        """
        non_inferior = [one for one in self.finalists if one.is_non_inferior]
        if self.has_baseline and non_inferior:
            return non_inferior[0]
        eligible = self.finalists if self.has_baseline else self.finalist_results
        return max(eligible, key=lambda one: one.macro_f1.mean, default=None)

    @property
    def verdict(self) -> str:
        """Result of the finals in one sentence."""
        winner = self.winner
        if winner is None:
            return "No finalist has a result on the test images yet."
        return self._against_baseline(winner) if self.has_baseline else self._among_settings(winner)

    def _against_baseline(self, winner: FinalistResult) -> str:
        baseline = self.reference
        score = f"{winner.macro_f1} macro-F1 with {winner.params:,} parameters ({winner.name}, {winner.family})"
        if baseline is None or winner.difference is None:
            return f"{score}; the baseline has no result to compare with yet."
        size = f"{winner.times_smaller:,.0f}x smaller" if (winner.times_smaller or 0) >= 2 else "not smaller"
        epochs = "" if self.baseline_epochs is None else f" (trained {self.baseline_epochs} epochs)"
        against = f"{network_name(baseline.records[0])}{epochs}, which has {baseline.macro_f1}"
        if winner.is_non_inferior:
            return f"{score}: {size} than {against}, and {_comparison_text(winner)}."
        return f"No finalist is shown to equal {against}. The best has {score}, {size}: {_comparison_text(winner)}."

    def _among_settings(self, winner: FinalistResult) -> str:
        prefix = f"Of {len(self.finalist_results)} settings {winner.name} has the highest macro-F1"
        score = (
            f"{prefix if len(self.finalist_results) > 1 else 'Macro-F1'} on the test images: "
            f"{winner.macro_f1} (accuracy {winner.metrics['accuracy']})"
        )
        if self.reference is None or winner.difference is None:
            return f"{score}."
        return f"{score}; {self.reference_name} has {self.reference.macro_f1}: {_comparison_text(winner)}."

    def as_json(self) -> dict[str, Any]:
        """Return the results for `--json`."""
        return {
            "study": self.study,
            "finals": self.finals,
            "num_test": self.num_test,
            "runs_missing": self.num_missing,
            "verdict": self.verdict,
            "reference": self.reference_name,
            "standings": [self._finalist_json(one) for one in self.finalist_results],
        }

    def _finalist_json(self, one: FinalistResult) -> dict[str, Any]:
        return {
            "finalist": one.name,
            "trial": one.trial,
            "family": one.family,
            "params": one.params,
            "flops": one.flops,
            "times_smaller": one.times_smaller,
            "seeds": len(one.records),
            "runs": [record.number for record in one.records],
            "metrics": {name: asdict(spread) for name, spread in one.metrics.items()},
            "class_f1": {name: asdict(spread) for name, spread in zip(self.classes, one.class_f1, strict=True)},
            "difference": None if one.difference is None else asdict(one.difference),
            "ruling": one.ruling or None,
        }


def collect_finals(
    study: str,
    finals: str,
    classes: tuple[str, ...],
    num_test: int,
    runs: Sequence[FinalRun],
    records: Sequence[TrialRecord],
    predictions: dict[int, Predictions],
    *,
    margin: float = DEFAULT_MARGIN,
    baseline_epochs: int | None = None,
) -> FinalResults:
    """Collect the results of final runs.

    Args:
        records: Trials of the finals study.
        predictions: Test-image predictions of runs with a result, by trial number.
        baseline_epochs: See `FinalResults`.
    """
    reference = runs[0]
    records_of: dict[str, list[TrialRecord]] = {run.finalist: [] for run in runs}
    for record in records:
        if record.objectives is None or record.run is None or record.number not in predictions:
            continue
        # Runs added after `runs` was read are left to the next call.
        if record.run < len(runs):
            records_of[runs[record.run].finalist].append(record)
    predictions_of = {name: [predictions[one.number] for one in group] for name, group in records_of.items()}
    trials = {run.finalist: run.trial for run in runs}
    reference_predictions = predictions_of[reference.finalist]
    reference_record = next(iter(records_of[reference.finalist]), None)
    finalist_results = []
    for name, group in records_of.items():
        if group:
            is_compared = name != reference.finalist and reference_predictions
            difference = compare(predictions_of[name], reference_predictions, margin=margin) if is_compared else None
            finalist_results.append(_finalist_result(name, trials[name], group, difference, reference_record))
    if reference.is_baseline:
        finalist_results.sort(key=lambda one: (one.name != reference.finalist, one.params))
    return FinalResults(
        study, finals, classes, num_test, reference.finalist, reference.is_baseline, tuple(finalist_results),
        len(runs) - sum(len(group) for group in records_of.values()), baseline_epochs,
    )  # fmt: skip


def _finalist_result(
    name: str, trial: int, group: Sequence[TrialRecord], difference: Difference | None, reference: TrialRecord | None
) -> FinalistResult:
    first = group[0]
    params = first.params or 0
    return FinalistResult(
        name=name,
        trial=trial,
        family=first.family,
        params=params,
        flops=first.flops or 0,
        records=tuple(group),
        metrics={metric: Spread.of([one.metrics[metric] for one in group]) for metric in METRIC_NAMES},
        class_f1=tuple(Spread.of([one.per_class[index].f1 for one in group]) for index in range(len(first.per_class))),
        difference=difference,
        times_smaller=None if reference is None or not params else (reference.params or 0) / params,
    )


def _comparison_text(one: FinalistResult) -> str:
    """Describe the comparison of a finalist with the reference."""
    assert one.difference is not None, "only for compared finalists"
    interval = f"{one.difference.mean:+.3f}, 95 % {one.difference.low:+.3f} to {one.difference.high:+.3f}"
    return f"{one.ruling}; difference {interval}"


def _p_value_text(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
