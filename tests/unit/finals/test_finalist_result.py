from __future__ import annotations

from dataclasses import replace

import pytest

from nas.finals.finalist_result import Comparison, compare_at_looks
from nas.finals.paired_comparison import Difference, compare
from nas.study.final_runs import FinalsSpec
from tests.unit.finals.examples import right, sequence_results

BASE = {seed: right(0.8, seed) for seed in range(1, 7)}
GOOD = {seed: right(0.82, 50 + seed) for seed in range(1, 7)}
POOR = {seed: right(0.6, 50 + seed) for seed in range(1, 7)}
SLIGHTLY_WORSE = {seed: right(0.748, 50 + seed) for seed in range(1, 7)}


def spec(*looks: int) -> FinalsSpec:
    return FinalsSpec(study="s", runs=(), sequence=(1,), looks=looks, first_seed=1)


def only(side: dict[int, object], *seeds: int) -> dict[int, object]:
    return {seed: side[seed] for seed in seeds}


def test_a_finalist_holds_only_with_all_seeds_of_both() -> None:
    assert compare_at_looks(GOOD, BASE, spec(3), 0.05).decision == "held"
    for ours, theirs in ((only(GOOD, 1, 2), BASE), (GOOD, only(BASE, 1, 3)), (only(GOOD, 1, 2), only(BASE, 3))):
        assert compare_at_looks(ours, theirs, spec(3), 0.05).decision == "open"  # type: ignore[arg-type]
    assert compare_at_looks({}, BASE, spec(3), 0.05) == Comparison(None, "open", 3)


def test_it_fails_before_if_it_is_clearly_worse() -> None:
    early = compare_at_looks(only(POOR, 1, 2), only(BASE, 1, 2), spec(5), 0.05)  # type: ignore[arg-type]
    assert early.decision == "failed"
    assert compare_at_looks(only(POOR, 1), only(BASE, 1), spec(5), 0.05).decision == "open"  # type: ignore[arg-type]
    patient = compare_at_looks(only(POOR, 1, 2), only(BASE, 1, 2), spec(5), 0.05, fails_early=False)  # type: ignore[arg-type]
    assert patient.decision == "open"


def test_a_test_uses_the_seeds_of_its_look_alone() -> None:
    found = compare_at_looks(GOOD, BASE, spec(3, 6), 0.05)
    three = [[side[seed] for seed in (1, 2, 3)] for side in (GOOD, BASE)]
    assert found == Comparison(compare(*three, margin=0.05), "held", 3)


def test_more_seeds_are_for_what_is_undecided() -> None:
    first = compare_at_looks(SLIGHTLY_WORSE, BASE, spec(2), 0.05)
    assert (first.decision, first.difference is not None and first.difference.high > -0.05) == ("failed", True)
    assert compare_at_looks(only(SLIGHTLY_WORSE, 1, 2), BASE, spec(2, 6), 0.05).decision == "open"  # type: ignore[arg-type]
    assert compare_at_looks(SLIGHTLY_WORSE, BASE, spec(2, 6), 0.05).look == 6
    assert compare_at_looks(POOR, BASE, spec(2, 6), 0.05).look == 2


def test_one_seed_decides_nothing() -> None:
    found = compare_at_looks(only(GOOD, 1), only(BASE, 1), spec(1), 0.05)  # type: ignore[arg-type]
    assert found.decision == "failed"
    one = replace(sequence_results({0: 0.8, 1: 0.8}, {0: [1], 1: [1]}, [1]).finalists[0], comparison=found)
    assert one.ruling == "undecided (one seed)"


@pytest.mark.parametrize(
    ("difference", "ruling"),
    [
        (Difference(0.02, 0.01, 0.03, 0.002, 0.0005, 0.01, 0.01, 5), "better (p = 0.002)"),
        (Difference(0.001, -0.005, 0.005, 0.7, 0.0005, 0.01, -0.004, 5), "no worse by 0.01 (p < 0.001)"),
        (Difference(-0.002, -0.004, -0.001, 0.02, 0.01, 0.01, -0.003, 5), "no worse by 0.01 (p = 0.010)"),
        (Difference(-0.05, -0.07, -0.03, 0.001, 0.99, 0.01, -0.06, 5), "worse (p = 0.001)"),
        (Difference(-0.01, -0.03, 0.01, 0.3, 0.5, 0.01, -0.02, 5), "undecided (p = 0.500 of being worse by 0.01)"),
    ],
)
def test_rulings(difference: Difference, ruling: str) -> None:
    finalist = sequence_results({0: 0.8, 1: 0.8}, {0: [1, 2], 1: [1, 2]}).finalists[0]
    decision = "held" if difference.p_worse < 0.05 else "failed"
    assert replace(finalist, comparison=Comparison(difference, decision)).ruling == ruling  # type: ignore[arg-type]
    assert replace(finalist, comparison=Comparison(difference, "open", 9)).ruling == "open: 5 of 9 seeds"
