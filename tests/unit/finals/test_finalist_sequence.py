from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from nas.finals.finalist_sequence import order_by_score, sequence_down_the_front, spread_evenly
from nas.finals.finalists import BASELINE, planned_runs
from nas.search.analysis.front_summary import summarize_records
from nas.search.storage.trial_records import TrialRecord
from nas.study.target_spec import TargetSpec
from tests.tiny_study import tiny_spec
from tests.unit.search.examples import baseline, record

FRONT = [
    record(number, 0.5 + 0.03 * number, 10 ** (3 + number // 2) * (1 + 4 * (number % 2))) for number in range(1, 13)
]


def sequence(*records: TrialRecord, most: int = 5, margin: float = 0.01, **target: Any) -> list[int]:
    spec = tiny_spec().model_copy(update={"target": TargetSpec(**target)})
    summary = summarize_records(spec, records)
    return [one.number for one in sequence_down_the_front(summary, margin=margin, most=most)]


def test_the_ends_are_the_best_and_the_answer() -> None:
    chosen = sequence(*FRONT, baseline(0.65), most=4)
    assert (len(chosen), chosen[0], chosen[-1]) == (4, 12, 5)
    assert chosen == sorted(chosen, reverse=True)
    assert sequence(*FRONT, baseline(0.65), most=20) == [12, 11, 10, 9, 8, 7, 6, 5]
    assert sequence(*FRONT, baseline(0.65), most=1) == [5]


def test_the_target_may_be_a_number_or_absent() -> None:
    assert sequence(*FRONT, baseline(0.65), macro_f1=0.8)[-1] == 10
    assert sequence(*FRONT, baseline(0.65), reference="none", margin=0.05)[-1] == 4
    assert sequence(*FRONT, baseline(0.65), tolerance=0.05)[-1] == 4


def test_the_best_stands_alone_below_the_target() -> None:
    assert sequence(*FRONT, baseline(0.95)) == [12]
    assert sequence(baseline(0.95)) == []


def test_the_spread_is_the_most_even_of_all_choices() -> None:
    generator = np.random.default_rng(0)
    for count in (2, 3, 4, 5):
        sizes = np.sort(10 ** generator.uniform(3, 6, 9)).astype(int)
        front = [record(number, 0.1 * number, int(size)) for number, size in enumerate(sizes)]

        def unevenness(members: tuple[TrialRecord, ...]) -> float:
            steps = np.diff([math.log10(one.params or 1) for one in members])
            return float((steps**2).sum())

        choices = [(front[0], *middle, front[-1]) for middle in itertools.combinations(front[1:-1], count - 2)]
        assert unevenness(tuple(spread_evenly(front, count))) == min(map(unevenness, choices))


def test_finals_without_a_sequence_are_ordered_by_validation_scores() -> None:
    finalists = {
        BASELINE: baseline(0.9),
        "trial 2": record(2, 0.7),
        "trial 5": record(5, 0.8),
        "trial 1": record(1, 0.7),
    }
    runs = planned_runs(finalists, [1, 2])
    assert order_by_score(runs, {1: 0.7, 2: 0.7, 5: 0.8}) == ("trial 5", "trial 1", "trial 2")
