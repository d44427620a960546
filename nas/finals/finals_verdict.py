"""Verdict of finals: their result in a few sentences."""

from __future__ import annotations

from nas.finals.finalist_result import FinalistResult
from nas.finals.finals_results import FinalResults
from nas.search.analysis.baseline_names import network_name, trained_epochs
from nas.study.cost_definitions import PARAMS


def finals_verdict(results: FinalResults) -> str:
    """Describe the result of finals: of the sequence's tests, or the best of a grid's settings."""
    winner = results.winner
    first = results.sequence[0] if results.sequence else ""
    if first in results.diverged and results.answer is None:
        return f"The first of the sequence, {first}, did not hold: {_divergence(results, first)}."
    if winner is None:
        return "No finalist has a result on the test images yet."
    return _against_baseline(results, winner) if results.has_baseline else _among_settings(results, winner)


def _against_baseline(results: FinalResults, winner: FinalistResult) -> str:
    baseline, number = results.reference, results.reference_number
    title, cost = results.pair.score_definition.title, results.pair.cost_definition
    score = f"{winner.score} {title} with {cost.text(winner.cost)} ({winner.name}, {winner.family})"
    if (baseline is None and number is None) or winner.difference is None:
        return f"{score}; the baseline has no result to compare with yet."
    size = _ratio_text(results, winner)
    epochs = "" if results.baseline_epochs is None else f" ({trained_epochs(results.baseline_epochs)})"
    if baseline is not None:
        against = f"{network_name(baseline.records[0])}{epochs}, which has {baseline.score}"
    elif number is not None:
        against = f"the number {number.name} from elsewhere, {number.score:g}, whose own error is not known"
    if results.has_held(winner):
        target = "" if results.target_score is None else f", at the target {results.target_score:g} on the test images"
        sentence = f"{score}: {size} than {against}, and {_comparison_text(winner)}{target}."
    else:
        place = "first of the sequence" if results.sequence else "best"
        sentence = (
            f"No finalist is shown to equal {against}. The {place} has {score}, {size}: {_comparison_text(winner)}."
        )
    return " ".join((sentence, *_remarks(results)))


def _ratio_text(results: FinalResults, winner: FinalistResult) -> str:
    """Say how many times lower the cost is than the reference's."""
    ratio, comparative = winner.times_smaller or 0.0, results.pair.cost_definition.comparative
    if results.pair.cost == PARAMS:
        return f"{ratio:,.0f}x {comparative}" if ratio >= 2 else f"not {comparative}"
    if ratio < 1.05:
        return f"not {comparative}"
    return f"{ratio:,.0f}x {comparative}" if ratio >= 10 else f"{ratio:.1f}x {comparative}"


def _remarks(results: FinalResults) -> list[str]:
    """Sentences on the first finalist that did not hold, model files, the margin, and seeds added after a test."""
    remarks = []
    if results.answer is not None and results.first_not_held is not None:
        remarks.append(_end_of_sequence(results, results.first_not_held))
    remarks += [
        f"Beside it, {network_name(one.records[0])} has {one.score}: {_comparison_text(one)}."
        for one in results.finalists
        if one.is_scored_once and one.difference is not None
    ]
    if results.tolerance is not None:
        is_same = results.tolerance == results.margin
        remarks.append(
            f"The margin of {results.margin:g} is "
            + ("the tolerance of the search's target." if is_same else f"not the search's, {results.tolerance:g}.")
        )
    if any(
        (one.comparison.look or 0) > results.looks[0] for one in results.finalists if one.comparison and results.looks
    ):
        steps = " and ".join(str(look) for look in results.looks)
        remarks.append(f"Tests were made at {steps} seeds, so that more than 5 % of such answers may be wrong.")
    return remarks


def _end_of_sequence(results: FinalResults, name: str) -> str:
    """Sentence on the finalist after the last that held."""
    if name in results.diverged:
        return f"The next in the sequence, {name}, did not hold: {_divergence(results, name)}."
    finalist = results.find(name)
    if finalist is None or finalist.comparison is None or finalist.difference is None:
        return f"The next in the sequence, {name}, is not tested yet."
    described = f"The next in the sequence, {name} with {results.pair.cost_definition.text(finalist.cost)},"
    if finalist.comparison.decision == "open":
        return f"{described} is not decided yet: {finalist.difference.num_seeds} of {finalist.comparison.look} seeds."
    if results.target_score is not None:
        return f"{described} did not hold: {finalist.score}."
    return f"{described} did not hold: {_comparison_text(finalist)}."


def _divergence(results: FinalResults, name: str) -> str:
    seeds = results.diverged[name]
    return f"its training diverged from seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def _among_settings(results: FinalResults, winner: FinalistResult) -> str:
    title = results.pair.score_definition.title
    prefix = f"Of {len(results.finalist_results)} settings {winner.name} has the highest {title}"
    accuracy = "" if results.pair.score == "accuracy" else f" (accuracy {winner.metrics['accuracy']})"
    score = (
        f"{prefix if len(results.finalist_results) > 1 else title[0].upper() + title[1:]} on the test images: "
        f"{winner.score}{accuracy}"
    )
    if results.reference is None or winner.difference is None:
        return f"{score}."
    return f"{score}; {results.reference_name} has {results.reference.score}: {_comparison_text(winner)}."


def _comparison_text(one: FinalistResult) -> str:
    """Describe the comparison of a finalist with the reference."""
    difference = one.difference
    assert difference is not None, "only for compared finalists"
    return (
        f"{one.ruling}; difference {difference.mean:+.3f}, 95 % {difference.low:+.3f} to {difference.high:+.3f}, "
        f"at least {difference.bound:+.3f} one-sided"
    )
