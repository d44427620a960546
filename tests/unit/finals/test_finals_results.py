from __future__ import annotations

from nas.finals.finalists import planned_runs
from nas.finals.finals_json import finals_json
from nas.finals.finals_results import FinalResults, FinalsTests, collect_finals
from nas.finals.finals_verdict import finals_verdict
from nas.finals.reproducibility import Repetition, share_alike
from nas.results.seed_spread import Spread
from nas.study.final_runs import FinalsSpec
from tests.unit.finals.examples import LABELS, right, sequence_results, sequence_spec
from tests.unit.search.examples import record

SEEDS = (1, 2, 3)
EQUAL = dict.fromkeys(range(5), 0.8)


def test_the_answer_is_the_last_that_held_before_one_failed() -> None:
    # Trial 4 would hold, but stands after one that failed.
    results = sequence_results({**EQUAL, 3: 0.6}, dict.fromkeys(range(5), SEEDS))
    assert [one.comparison.decision for one in results.finalists if one.comparison] == [
        "held",
        "held",
        "failed",
        "held",
    ]
    assert results.answer is not None
    assert (results.answer.name, results.answer.params, results.answer.times_smaller) == ("trial 2", 50_000, 220.0)
    assert results.winner is results.answer
    assert results.first_not_held == "trial 3"
    assert results.answer.macro_f1 == Spread.of([one.macro_f1 for one in results.answer.records])


def test_where_the_first_fails_there_is_no_answer_and_it_is_reported() -> None:
    results = sequence_results({**EQUAL, 1: 0.6}, {0: SEEDS, 1: SEEDS})
    assert results.answer is None
    assert results.winner is not None
    assert results.winner.name == results.first_not_held == "trial 1"


def test_a_finalist_outside_of_the_sequence_is_compared_and_never_the_answer() -> None:
    found = sequence_results(EQUAL, {0: SEEDS, 1: SEEDS, 4: SEEDS}, sequence=("trial 1",))  # type: ignore[arg-type]
    assert [one.held for one in found.finalists] == [True, True]
    assert found.answer is not None
    assert found.answer.name == "trial 1"


def test_a_target_that_is_a_number_is_reached_by_the_mean_over_all_seeds() -> None:
    seeds = {0: SEEDS, 1: SEEDS, 2: SEEDS}
    assert sequence_results({**EQUAL, 0: 0.95}, seeds, target_score=0.75).answer is not None
    assert sequence_results(EQUAL, seeds, target_score=0.85).answer is None
    assert sequence_results(EQUAL, {0: SEEDS, 1: [1, 2]}, target_score=0.7).answer is None


def test_runs_without_a_result_are_counted() -> None:
    spec = sequence_spec({0: SEEDS, 1: SEEDS})
    assert collect_finals("s-finals", spec, ("a", "b"), 4000, [], {}, FinalsTests()).num_missing == 6


def grid_finals(**shares: float) -> FinalResults:
    """Finals of grid settings by their accuracies."""
    runs = planned_runs({name: record(n, 0.8) for n, name in enumerate(shares)}, [1, 2, 3])
    predictions = {index: right(shares[run.finalist], index) for index, run in enumerate(runs)}
    records = [
        record(index, float((one.classes == LABELS).mean()), 50_000, run=index) for index, one in predictions.items()
    ]
    spec = FinalsSpec(study="g", runs=tuple(runs))
    return collect_finals("g-finals", spec, ("a", "b"), 600, records, predictions, FinalsTests())


def test_the_settings_of_a_grid_are_compared_with_its_first_in_its_order() -> None:
    results = grid_finals(plain=0.7, focal=0.95, ldam=0.8)
    assert [one.name for one in results.finalist_results] == ["plain", "focal", "ldam"]
    assert [one.difference is not None for one in results.finalist_results] == [False, True, True]
    assert results.winner is not None
    assert results.winner.name == "focal"
    plain = results.finalist_results[0]
    assert finals_verdict(results).startswith(
        f"Of 3 settings focal has the highest macro-F1 on the test images: {results.winner.macro_f1} (accuracy "
    )
    assert f"; plain has {plain.macro_f1}: better (p < 0.001); difference +0.2" in finals_verdict(results)


def test_a_setting_alone_is_not_the_best_of_many() -> None:
    alone = grid_finals(plain=0.9)
    assert finals_verdict(alone).startswith(
        f"Macro-F1 on the test images: {alone.finalist_results[0].macro_f1} (accuracy "
    )


def test_a_run_that_was_added_since_is_left_to_the_next_look() -> None:
    spec = FinalsSpec(study="g", runs=tuple(planned_runs({"plain": record(0, 0.8)}, [1])))
    records, predictions = [record(0, 0.8, run=0), record(1, 0.8, run=1)], {0: right(0.8, 0), 1: right(0.8, 1)}
    found = collect_finals("g-finals", spec, ("a", "b"), 600, records, predictions, FinalsTests())
    assert [len(one.records) for one in found.finalist_results] == [1]


def test_the_first_setting_may_be_the_best() -> None:
    results = grid_finals(plain=0.9, focal=0.5)
    assert results.winner is results.reference
    assert finals_verdict(results).startswith("Of 2 settings plain has the highest macro-F1")
    assert results.finalists[0].ruling.startswith("worse (p ")


def test_as_json_everything_is_there() -> None:
    found = finals_json(sequence_results({**EQUAL, 1: 0.9}, {0: SEEDS, 1: SEEDS}))
    assert [one["finalist"] for one in found["standings"]] == ["baseline", "trial 1"]
    assert (found["answer"], found["margin"], found["seeds_of_tests"]) == (1, 0.05, [3])
    assert found["sequence"] == ["trial 1", "trial 2", "trial 3", "trial 4"]
    ours = found["standings"][1]
    assert set(ours["metrics"]) >= {"f1_macro", "f1_micro", "recall_macro", "accuracy"}
    assert list(ours["class_f1"]) == ["a", "b"]
    assert (ours["decision"], found["standings"][0]["decision"]) == ("held", None)
    assert {"mean", "low", "high", "bound", "p_worse", "num_seeds"} <= set(ours["difference"])


def test_a_repetition_in_words() -> None:
    assert "weights identical to the bit" in Repetition(3, 0.8, 0.8, 1.0, 0.0).sentence
    assert "weights differ by up to 0.0012" in Repetition(3, 0.8, 0.79, 0.99, 0.0012).sentence
    assert "(-0.0100), the same class for 99.00%" in Repetition(3, 0.8, 0.79, 0.99, 0.0012).sentence
    assert "weights were not kept" in Repetition(3, 0.8, 0.79, 0.99, None).sentence
    assert [*Repetition(3, 0.8, 0.8, 1.0, 0.0).as_json()] == [
        "run", "macro_f1", "repeated_f1", "share_alike", "largest_weight_difference",
    ]  # fmt: skip
    other = Repetition(3, 0.8, 0.79, 0.99, None, 0.9, 0.92, "accuracy")
    assert "accuracy 0.9200 against 0.9000 (+0.0200)" in other.sentence
    assert other.as_json()["repeated_score"] == 0.92
    assert share_alike(right(1.0, 0), right(0.0, 0)) == 0.0
