from __future__ import annotations

from dataclasses import replace
from typing import Any

from nas.finals.answer_after_finals import answer_after_finals
from nas.search.analysis.front_summary import FrontSummary, summarize_records
from nas.study.target_spec import TargetSpec
from tests.tiny_study import tiny_spec
from tests.unit.finals.examples import sequence_results
from tests.unit.search.examples import baseline, record

SEEDS = (1, 2, 3)
EQUAL = dict.fromkeys(range(5), 0.8)


def summary(**target: Any) -> FrontSummary:
    """Trials of 10,000, 50,000 and 100,000 parameters, of which the second is within 0.01 of the baseline."""
    spec = tiny_spec().model_copy(update={"target": TargetSpec(**target)})
    trials = [record(3, 0.6, 10_000), record(2, 0.795, 50_000), record(1, 0.9, 100_000)]
    return summarize_records(spec, [baseline(0.8), *trials])


def test_before_finals_it_is_the_smallest_at_the_target() -> None:
    chosen = answer_after_finals(summary(), None)
    assert chosen is not None
    assert (chosen.number, chosen.reason) == (2, "the smallest network at the target 0.790 (ResNet-18 0.800 - 0.01)")
    assert answer_after_finals(summary(), sequence_results(EQUAL, {0: SEEDS})) == chosen


def test_after_finals_it_is_the_last_that_held() -> None:
    found = sequence_results({**EQUAL, 1: 0.9, 2: 0.6}, {0: SEEDS, 1: SEEDS, 2: SEEDS})
    chosen = answer_after_finals(summary(), found)
    assert chosen is not None
    assert (chosen.number, chosen.reason) == (
        1, "the last finalist that held on the test images: better (p < 0.001), compared with ResNet-18",
    )  # fmt: skip


def test_where_no_finalist_held_the_answer_of_the_search_stays_with_a_remark() -> None:
    chosen = answer_after_finals(summary(), sequence_results({**EQUAL, 1: 0.6}, {0: SEEDS, 1: SEEDS}))
    assert chosen is not None
    assert chosen.number == 2
    assert chosen.reason.endswith("(ResNet-18 0.800 - 0.01), where no finalist held on the test images")


def test_a_finalist_may_hold_where_the_search_reached_nothing() -> None:
    missed = replace(summary(), answer=None)
    assert answer_after_finals(missed, None) is None
    assert answer_after_finals(missed, sequence_results({**EQUAL, 1: 0.6}, {0: SEEDS, 1: SEEDS})) is None
    chosen = answer_after_finals(missed, sequence_results({**EQUAL, 1: 0.9}, {0: SEEDS, 1: SEEDS}))
    assert chosen is not None
    assert chosen.number == 1


def test_a_number_as_target_is_compared_with_the_score_on_the_test_images() -> None:
    found = sequence_results({**EQUAL, 0: 0.95, 2: 0.6}, {0: SEEDS, 1: SEEDS, 2: SEEDS}, target_score=0.7)
    chosen = answer_after_finals(summary(macro_f1=0.7), found)
    assert chosen is not None
    assert found.answer is not None
    expected = f"the last finalist that held on the test images: macro-F1 {found.answer.macro_f1}, target 0.7"
    assert (chosen.number, chosen.reason) == (1, expected)


def test_without_a_target_there_is_no_answer() -> None:
    held = sequence_results(EQUAL, {0: SEEDS, 1: SEEDS})
    assert answer_after_finals(summary(reference="none"), held) is None
