"""Result of one finalist on the test images, and its test against the reference at the planned numbers of seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from nas.finals.paired_comparison import ALPHA, Difference, compare
from nas.finals.score_influence import MACRO_F1_SCORE, ComparedScore
from nas.results.predictions_on_test_images import Predictions
from nas.results.seed_spread import Spread
from nas.search.storage.trial_records import TrialRecord
from nas.space.reference_models import FileArchitecture
from nas.study.final_runs import FinalsSpec

Decision = Literal["held", "failed", "open"]


@dataclass(frozen=True)
class Comparison:
    """Comparison of a finalist with the reference.

    Attributes:
        difference: None while either has no result.
        decision: Outcome of the non-inferiority test; open until all its seeds have a result.
        look: Number of seeds of the test; None for all that there are.
    """

    difference: Difference | None
    decision: Decision
    look: int | None = None


@dataclass(frozen=True)
class FinalistResult:
    """Result of one finalist, or the reference, over its seeds.

    Attributes:
        name: See `FinalRun.finalist`.
        records: Runs with a result, by ascending seed.
        seeds: Their seeds.
        metrics: Averaged scores by name.
        class_f1: F1 of each class, in the order of classes.
        score: Score that the study maximises.
        cost: Cost that the study minimises, the lowest of its runs; 0 if it is unknown.
        comparison: Comparison with the reference's score; None for the reference itself.
        times_smaller: Ratio of the reference's cost to the finalist's.
        diverged: Seeds from which its training diverged.
    """

    name: str
    trial: int
    family: str
    params: int
    flops: int
    records: tuple[TrialRecord, ...]
    metrics: dict[str, Spread]
    class_f1: tuple[Spread, ...]
    score: Spread
    cost: float
    comparison: Comparison | None
    times_smaller: float | None
    seeds: tuple[int, ...] = ()
    diverged: tuple[int, ...] = ()

    @property
    def is_scored_once(self) -> bool:
        """True for a model file, whose interval is over images."""
        genome = self.records[0].genome
        return genome is not None and isinstance(genome.architecture, FileArchitecture)

    @property
    def macro_f1(self) -> Spread:
        return self.metrics["f1_macro"]

    @property
    def difference(self) -> Difference | None:
        """Difference from the reference's score; None for the reference, and while either has no result."""
        return None if self.comparison is None else self.comparison.difference

    @property
    def held(self) -> bool:
        """True if the finalist is shown to be no worse than the reference by the margin."""
        return self.comparison is not None and self.comparison.decision == "held" and not self.diverged

    @property
    def ruling(self) -> str:
        """Outcome of the comparison with the reference in a few words; empty without a comparison."""
        if self.comparison is None or self.comparison.difference is None:
            return ""
        difference, look = self.comparison.difference, self.comparison.look
        if self.diverged:
            return f"diverged (seed {', '.join(map(str, self.diverged))})"
        if self.comparison.decision == "open":
            return f"open: {difference.num_seeds} of {look} seeds"
        if difference.num_seeds < 2:
            return "undecided (one seed)"
        if difference.p_equal < ALPHA and difference.mean > 0:
            return f"better (p {_p_value_text(difference.p_equal)})"
        if difference.p_worse < ALPHA:
            return f"no worse by {difference.margin:g} (p {_p_value_text(difference.p_worse)})"
        if difference.p_equal < ALPHA:
            return f"worse (p {_p_value_text(difference.p_equal)})"
        return f"undecided (p {_p_value_text(difference.p_worse)} of being worse by {difference.margin:g})"


def compare_at_looks(
    finalist: Mapping[int, Predictions],
    reference: Mapping[int, Predictions] | float,
    spec: FinalsSpec,
    margin: float,
    *,
    score: ComparedScore = MACRO_F1_SCORE,
    fails_early: bool = True,
) -> Comparison:
    """Test a finalist at each planned number of seeds until it holds; without such numbers, with all seeds.

    A test is decided when both networks have all its seeds. Before that a finalist can fail, if its difference is
    below the margin by the whole two-sided interval, but never hold: ending early by failure alone cannot raise the
    error of the test.

    Args:
        finalist: Predictions by seed.
        reference: Predictions of the reference by seed, or its score if it is a number from elsewhere.
        score: Score by which they are compared.
        fails_early: Whether a finalist can fail before all seeds have a result.
    """
    if not spec.looks:
        if not finalist or not reference:
            return Comparison(None, "open")
        theirs = reference if isinstance(reference, float) else [*reference.values()]
        difference = compare([*finalist.values()], theirs, margin=margin, score=score)
        return Comparison(difference, "held" if _is_non_inferior(difference) else "failed")
    compared = Comparison(None, "open", spec.looks[0])
    for look in spec.looks:
        ours = [finalist[seed] for seed in spec.seeds_of(look) if seed in finalist]
        if isinstance(reference, float):
            theirs, num_theirs = reference, look
        else:
            theirs = [reference[seed] for seed in spec.seeds_of(look) if seed in reference]
            num_theirs = len(theirs)
        if not ours or not num_theirs:
            return Comparison(None, "open", look)
        difference = compare(ours, theirs, margin=margin, score=score)
        is_complete = min(len(ours), num_theirs) == look
        if is_complete and _is_non_inferior(difference):
            return Comparison(difference, "held", look)
        compared = Comparison(difference, "failed", look)
        if fails_early and difference.num_seeds > 1 and difference.high < -margin:
            return compared
        if not is_complete:
            return Comparison(difference, "open", look)
    return compared


def _is_non_inferior(difference: Difference) -> bool:
    return difference.num_seeds > 1 and difference.p_worse < ALPHA


def _p_value_text(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
