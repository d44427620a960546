"""The results of finals: every finalist's scores on the test images over its seeds, compared with one of them.

That one, the reference, is the baseline, or of a grid without one its first setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nas.finals.paired_bootstrap import Difference, compare
from nas.results.metrics import METRIC_NAMES
from nas.results.seed_spread import Spread
from nas.results.test_predictions import Predictions
from nas.search.analysis.front_summary import network_name
from nas.search.storage.trial_records import TrialRecord
from nas.study.finals_spec import FinalRun

DEFAULT_MARGIN = 0.01
_ALPHA = 0.05


@dataclass(frozen=True)
class FinalistResult:
    """One finalist, or the reference, over its seeds.

    Attributes:
        name: As in `FinalRun.finalist`.
        records: Its runs that have a result.
        metrics: Averages by name.
        class_f1: F1 of each class, in the order of classes.
        difference: From the reference's macro-F1; None of the reference, and while either has no result.
        times_smaller: How many times fewer parameters than the reference's.
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
        """What the comparison with the reference says, in a few words; empty without one."""
        found = self.difference
        if found is None:
            return ""
        if found.p_equal < _ALPHA and found.mean > 0:
            return f"better (p {_p(found.p_equal)})"
        if found.p_worse < _ALPHA:
            return f"no worse by {found.margin:g} (p {_p(found.p_worse)})"
        if found.p_equal < _ALPHA:
            return f"worse (p {_p(found.p_equal)})"
        return f"undecided (p {_p(found.p_equal)})"

    @property
    def holds(self) -> bool:
        """Whether it is better than the reference, or no worse."""
        return self.ruling.startswith(("better", "no worse"))


@dataclass(frozen=True)
class FinalResults:
    """The finals of a study.

    Attributes:
        reference_name: Of whom the others are compared with.
        has_baseline: Whether that is the baseline.
        standings: The reference first, if it has a result, then the finalists: smallest first, or a grid's settings in
            its order.
        classes: Their names.
        num_missing: Runs that have no result.
    """

    study: str
    finals: str
    classes: tuple[str, ...]
    num_test: int
    reference_name: str
    has_baseline: bool
    standings: tuple[FinalistResult, ...]
    num_missing: int

    @property
    def reference(self) -> FinalistResult | None:
        return next((one for one in self.standings if one.name == self.reference_name), None)

    @property
    def finalists(self) -> tuple[FinalistResult, ...]:
        return tuple(one for one in self.standings if one.name != self.reference_name)

    @property
    def winner(self) -> FinalistResult | None:
        """The smallest that holds its ground against the baseline; else the one with the highest mean macro-F1.

        Of a grid without a baseline the latter, which may be the reference itself.
        """
        holding = [one for one in self.finalists if one.holds]
        if self.has_baseline and holding:
            return holding[0]
        eligible = self.finalists if self.has_baseline else self.standings
        return max(eligible, key=lambda one: one.macro_f1.mean, default=None)

    @property
    def verdict(self) -> str:
        """The answer in a sentence."""
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
        against = f"{network_name(baseline.records[0])}, which has {baseline.macro_f1}"
        if winner.holds:
            return f"{score}: {size} than {against}, and {_compared(winner)}."
        return f"No finalist is shown to equal {against}. The best has {score}, {size}: {_compared(winner)}."

    def _among_settings(self, winner: FinalistResult) -> str:
        of = f"Of {len(self.standings)} settings {winner.name} has the highest macro-F1"
        score = (
            f"{of if len(self.standings) > 1 else 'Macro-F1'} on the test images: "
            f"{winner.macro_f1} (accuracy {winner.metrics['accuracy']})"
        )
        if self.reference is None or winner.difference is None:
            return f"{score}."
        return f"{score}; {self.reference_name} has {self.reference.macro_f1}: {_compared(winner)}."

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "study": self.study,
            "finals": self.finals,
            "num_test": self.num_test,
            "runs_missing": self.num_missing,
            "verdict": self.verdict,
            "reference": self.reference_name,
            "standings": [self._standing_json(one) for one in self.standings],
        }

    def _standing_json(self, one: FinalistResult) -> dict[str, Any]:
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
) -> FinalResults:
    """Put the runs of finals together.

    Args:
        records: Of the finals' trials.
        predictions: Of those that have a result, by the trial's number.
    """
    reference = runs[0]
    done: dict[str, list[TrialRecord]] = {run.finalist: [] for run in runs}
    for record in records:
        if record.objectives is None or record.run is None or record.number not in predictions:
            continue
        # One that was added after the runs were read is left to the next who looks.
        if record.run < len(runs):
            done[runs[record.run].finalist].append(record)
    said = {name: [predictions[one.number] for one in group] for name, group in done.items()}
    trials = {run.finalist: run.trial for run in runs}
    theirs, of_reference = said[reference.finalist], next(iter(done[reference.finalist]), None)
    standings = []
    for name, group in done.items():
        if group:
            is_compared = name != reference.finalist and theirs
            difference = compare(said[name], theirs, margin=margin) if is_compared else None
            standings.append(_standing(name, trials[name], group, difference, of_reference))
    if reference.is_baseline:
        standings.sort(key=lambda one: (one.name != reference.finalist, one.params))
    return FinalResults(
        study, finals, classes, num_test, reference.finalist, reference.is_baseline, tuple(standings),
        len(runs) - sum(len(group) for group in done.values()),
    )  # fmt: skip


def _standing(
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


def _compared(one: FinalistResult) -> str:
    """With the reference, which both have a result for."""
    assert one.difference is not None, "only of those that are compared"
    interval = f"{one.difference.mean:+.3f}, 95 % {one.difference.low:+.3f} to {one.difference.high:+.3f}"
    return f"{one.ruling}; difference {interval}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
