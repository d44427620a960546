from __future__ import annotations

from dataclasses import replace
from typing import Any

from nas.finals.answer_after_finals import answer_after_finals
from nas.finals.finals_results import FinalistResult, FinalResults
from nas.finals.paired_bootstrap import Difference
from nas.results.seed_spread import Spread
from nas.search.analysis.front_summary import FrontSummary, summarize_records
from nas.study.target_spec import TargetSpec
from tests.tiny_study import tiny_spec
from tests.unit.search.examples import baseline, record

NO_WORSE = Difference(0.001, -0.005, 0.005, 0.7, 0.0005, 0.01)
BETTER = Difference(0.02, 0.01, 0.03, 0.002, 0.0005, 0.01)
WORSE = Difference(-0.05, -0.07, -0.03, 0.001, 0.99, 0.01)
UNDECIDED = Difference(-0.01, -0.03, 0.01, 0.3, 0.5, 0.01)


def summary(**target: Any) -> FrontSummary:
    """Trials of 1,000, 10,000 and 100,000 parameters, of which the second is within 0.01 of the baseline."""
    spec = tiny_spec().model_copy(update={"target": TargetSpec(**target)})
    trials = [record(1, 0.6, 1_000), record(2, 0.795, 10_000), record(3, 0.9, 100_000)]
    return summarize_records(spec, [baseline(0.8), *trials])


def finalist(trial: int, params: int, difference: Difference | None, macro_f1: float = 0.8) -> FinalistResult:
    metrics = {"f1_macro": Spread.of([macro_f1, macro_f1])}
    return FinalistResult(f"trial {trial}", trial, "vgg", params, 1, (), metrics, (), difference, None)


def finals(*finalists: FinalistResult) -> FinalResults:
    reference = replace(finalist(0, 11_000_000, None), name="baseline")
    return FinalResults("s", "s-finals", ("a",), 9, "baseline", True, (reference, *finalists), 0)


def test_before_finals_it_is_the_smallest_at_the_target() -> None:
    chosen = answer_after_finals(summary(), None)
    assert chosen is not None
    assert (chosen.number, chosen.reason) == (2, "the smallest network at the target 0.790 (ResNet-18 0.800 - 0.01)")
    assert answer_after_finals(summary(), finals()) == chosen


def test_the_smallest_finalist_that_held_wins() -> None:
    found = finals(finalist(3, 100_000, BETTER), finalist(5, 50_000, NO_WORSE), finalist(2, 10_000, WORSE))
    chosen = answer_after_finals(summary(), found)
    assert chosen is not None
    assert (chosen.number, chosen.reason) == (
        5,
        "the smallest finalist that held on the test images: no worse by 0.01 (p < 0.001), compared with ResNet-18",
    )


def test_where_no_finalist_held_the_answer_of_the_search_stays_with_a_remark() -> None:
    chosen = answer_after_finals(summary(), finals(finalist(2, 10_000, WORSE), finalist(3, 100_000, UNDECIDED)))
    assert chosen is not None
    assert chosen.number == 2
    assert chosen.reason.endswith("(ResNet-18 0.800 - 0.01), where no finalist held on the test images")


def test_a_finalist_may_hold_where_the_search_reached_nothing() -> None:
    missed = replace(summary(), answer=None)
    assert answer_after_finals(missed, None) is None
    assert answer_after_finals(missed, finals(finalist(3, 100_000, WORSE))) is None
    chosen = answer_after_finals(missed, finals(finalist(3, 100_000, BETTER)))
    assert chosen is not None
    assert chosen.number == 3


def test_a_number_as_target_is_compared_with_the_score_on_the_test_images() -> None:
    found = finals(finalist(2, 10_000, BETTER, 0.69), finalist(3, 100_000, WORSE, 0.71))
    chosen = answer_after_finals(summary(macro_f1=0.7), found)
    assert chosen is not None
    assert (chosen.number, chosen.reason) == (
        3, "the smallest finalist that held on the test images: macro-F1 0.710 ± 0.000, target 0.7"
    )  # fmt: skip


def test_without_a_target_there_is_no_answer() -> None:
    assert answer_after_finals(summary(reference="none"), finals(finalist(3, 100_000, BETTER))) is None
