from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from nas.finals.finalists import BASELINE, planned_runs
from nas.finals.finals_results import FinalistResult, FinalResults, collect_finals
from nas.finals.paired_bootstrap import Difference
from nas.finals.reproducibility import Repetition, share_alike
from nas.results.predictions_on_test_images import Predictions
from nas.results.seed_spread import Spread
from nas.search.storage.trial_records import TrialRecord
from tests.unit.search.examples import RESNET18, baseline, record

LABELS = np.arange(600) % 2


def right(share: float, seed: int) -> Predictions:
    """Predictions that are correct for a share of the images, drawn from a seed."""
    is_right = np.random.default_rng(seed).random(len(LABELS)) < share
    return Predictions(np.eye(2, dtype=np.float32)[np.where(is_right, LABELS, 1 - LABELS)], LABELS)


def finals(ours: float, theirs: float, seeds: int = 3, missing: int = 0) -> FinalResults:
    """Finals of a finalist of 50,000 parameters and the baseline by their accuracies; last runs may be missing."""
    runs = planned_runs({BASELINE: baseline(0.8), "trial 2": record(2, 0.8)}, num_seeds=seeds, first_seed=1)
    records: list[TrialRecord] = []
    predictions = {}
    for index, run in enumerate(runs[: len(runs) - missing]):
        predictions[index] = right(theirs if run.is_baseline else ours, index)
        score = float((predictions[index].classes == LABELS).mean())
        if run.is_baseline:
            one = record(index, score, 11_000_000, genome=RESNET18, run=index, is_baseline=True)
        else:
            one = record(index, score, 50_000, run=index)
        records.append(one)
    return collect_finals("s", "s-finals", ("a", "b"), 600, runs, records, predictions)


def result_with(difference: Difference) -> FinalistResult:
    return replace(finals(0.8, 0.8).finalists[0], difference=difference)


def test_the_smallest_that_holds_its_ground_wins() -> None:
    results = finals(0.95, 0.8)
    winner = results.winner
    assert winner is not None
    assert (winner.name, winner.params, winner.times_smaller) == ("trial 2", 50_000, 220.0)
    assert winner.macro_f1 == Spread.of([one.macro_f1 for one in winner.records])
    assert results.verdict.startswith(f"{winner.macro_f1} macro-F1 with 50,000 par")
    assert "220x smaller than ResNet-18" in results.verdict
    assert "better (p " in results.verdict


def test_who_is_worse_does_not_win() -> None:
    results = finals(0.7, 0.95)
    assert results.finalists[0].ruling.startswith("worse (p ")
    assert results.verdict.startswith("No finalist is shown to equal ResNet-18")


@pytest.mark.parametrize(
    ("difference", "ruling"),
    [
        (Difference(0.02, 0.01, 0.03, 0.002, 0.0005, 0.01), "better (p = 0.002)"),
        (Difference(0.001, -0.005, 0.005, 0.7, 0.0005, 0.01), "no worse by 0.01 (p < 0.001)"),
        (Difference(-0.002, -0.004, -0.001, 0.02, 0.01, 0.01), "no worse by 0.01 (p = 0.010)"),
        (Difference(-0.05, -0.07, -0.03, 0.001, 0.99, 0.01), "worse (p = 0.001)"),
        (Difference(-0.01, -0.03, 0.01, 0.3, 0.5, 0.01), "undecided (p = 0.300)"),
    ],
)
def test_rulings(difference: Difference, ruling: str) -> None:
    assert result_with(difference).ruling == ruling
    assert result_with(difference).is_non_inferior == ruling.startswith(("better", "no"))


def test_runs_that_are_missing_are_counted_and_without_a_baseline_nothing_is_compared() -> None:
    assert finals(0.9, 0.9, missing=3).num_missing == 3
    results = finals(0.9, 0.9, seeds=1)
    alone = replace(results, finalist_results=tuple(replace(one, difference=None) for one in results.finalists))
    assert "the baseline has no result" in alone.verdict
    assert replace(results, finalist_results=()).verdict == "No finalist has a result on the test images yet."


def grid_finals(**shares: float) -> FinalResults:
    """Finals of grid settings by their accuracies."""
    runs = planned_runs({name: record(n, 0.8) for n, name in enumerate(shares)}, num_seeds=3, first_seed=1)
    predictions = {index: right(shares[run.finalist], index) for index, run in enumerate(runs)}
    records = [
        record(index, float((one.classes == LABELS).mean()), 50_000, run=index) for index, one in predictions.items()
    ]
    return collect_finals("g", "g-finals", ("a", "b"), 600, runs, records, predictions)


def test_the_settings_of_a_grid_are_compared_with_its_first_in_its_order() -> None:
    results = grid_finals(plain=0.7, focal=0.95, ldam=0.8)
    assert [one.name for one in results.finalist_results] == ["plain", "focal", "ldam"]
    assert [one.difference is not None for one in results.finalist_results] == [False, True, True]
    assert results.winner is not None
    assert results.winner.name == "focal"
    plain = results.finalist_results[0]
    assert results.verdict.startswith(
        f"Of 3 settings focal has the highest macro-F1 on the test images: {results.winner.macro_f1} (accuracy "
    )
    assert f"; plain has {plain.macro_f1}: better (p < 0.001); difference +0.2" in results.verdict


def test_a_setting_alone_is_not_the_best_of_many() -> None:
    alone = grid_finals(plain=0.9)
    assert alone.verdict.startswith(f"Macro-F1 on the test images: {alone.finalist_results[0].macro_f1} (accuracy ")


def test_a_run_that_was_added_since_is_left_to_the_next_look() -> None:
    runs = planned_runs({"plain": record(0, 0.8)}, num_seeds=1, first_seed=1)
    records = [record(0, 0.8, run=0), record(1, 0.8, run=1)]
    found = collect_finals("g", "g-finals", ("a", "b"), 600, runs, records, {0: right(0.8, 0), 1: right(0.8, 1)})
    assert [len(one.records) for one in found.finalist_results] == [1]


def test_the_first_setting_may_be_the_best() -> None:
    results = grid_finals(plain=0.9, focal=0.5)
    assert results.winner is results.reference
    assert results.verdict.startswith("Of 2 settings plain has the highest macro-F1")
    assert results.finalists[0].ruling.startswith("worse (p ")


def test_as_json_everything_is_there() -> None:
    found = finals(0.95, 0.8).as_json()
    assert [one["finalist"] for one in found["standings"]] == ["baseline", "trial 2"]
    ours = found["standings"][1]
    assert set(ours["metrics"]) >= {"f1_macro", "f1_micro", "recall_macro", "accuracy"}
    assert list(ours["class_f1"]) == ["a", "b"]
    assert math.isclose(ours["difference"]["mean"], ours["metrics"]["f1_macro"]["mean"] - 0.8, abs_tol=0.05)


def test_a_repetition_in_words() -> None:
    assert "weights identical to the bit" in Repetition(3, 0.8, 0.8, 1.0, 0.0).sentence
    assert "weights differ by up to 0.0012" in Repetition(3, 0.8, 0.79, 0.99, 0.0012).sentence
    assert "(-0.0100), the same class for 99.00%" in Repetition(3, 0.8, 0.79, 0.99, 0.0012).sentence
    assert "weights were not kept" in Repetition(3, 0.8, 0.79, 0.99, None).sentence
    assert share_alike(right(1.0, 0), right(0.0, 0)) == 0.0


def test_the_verdict_says_epochs_of_the_baseline_alone() -> None:
    better = replace(finals(0.95, 0.8), baseline_epochs=20)
    assert "220x smaller than ResNet-18 (trained 20 epochs), which has" in better.verdict
    worse = replace(finals(0.7, 0.95), baseline_epochs=20)
    assert worse.verdict.startswith("No finalist is shown to equal ResNet-18 (trained 20 epochs), which has")
