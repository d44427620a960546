from __future__ import annotations

from dataclasses import replace

import pytest

from nas.finals.finals_json import finals_json
from nas.finals.finals_verdict import finals_verdict
from nas.study.costs_spec import ObjectivePair
from tests.unit.finals.examples import sequence_results

SEEDS = (1, 2, 3)
EQUAL = dict.fromkeys(range(5), 0.8)


def test_the_verdict_is_about_the_last_that_held_and_the_one_after_it() -> None:
    results = sequence_results({**EQUAL, 2: 0.9, 3: 0.6}, dict.fromkeys(range(4), SEEDS), tolerance=0.05)
    verdict, answer = finals_verdict(results), results.answer
    assert answer is not None
    assert answer.difference is not None
    assert verdict.startswith(f"{answer.macro_f1} macro-F1 with 50,000 parameters (trial 2, ")
    assert "220x smaller than ResNet-18, which has" in verdict
    assert f"and better (p < 0.001); difference {answer.difference.mean:+.3f}, 95 % " in verdict
    assert f"at least {answer.difference.bound:+.3f} one-sided." in verdict
    assert "The next in the sequence, trial 3 with 10,000 parameters, did not hold: worse (p < 0.001); diff" in verdict
    assert verdict.endswith("The margin of 0.05 is the tolerance of the search's target.")
    assert finals_verdict(replace(results, tolerance=0.01)).endswith("The margin of 0.05 is not the search's, 0.01.")


def test_where_none_held_it_is_about_the_first() -> None:
    verdict = finals_verdict(sequence_results({**EQUAL, 1: 0.6}, {0: SEEDS, 1: SEEDS}))
    assert verdict.startswith("No finalist is shown to equal ResNet-18, which has 0.")
    assert "The first of the sequence has 0.5" in verdict


def test_what_is_not_decided_yet_is_said() -> None:
    held = {0: SEEDS, 1: SEEDS}
    assert "The next in the sequence, trial 2, is not tested yet." in finals_verdict(sequence_results(EQUAL, held))
    some = finals_verdict(sequence_results(EQUAL, {**held, 2: [1, 3]}))
    assert "trial 2 with 50,000 parameters, is not decided yet: 2 of 3 seeds." in some
    assert "open: 2 of 3 seeds" in finals_verdict(sequence_results(EQUAL, {0: SEEDS, 1: [1, 2]}))
    assert finals_verdict(sequence_results(EQUAL, {0: SEEDS})) == "No finalist has a result on the test images yet."
    assert "the baseline has no result to compare with yet" in finals_verdict(
        sequence_results(EQUAL, {0: [], 1: SEEDS})
    )


def test_a_test_after_more_seeds_is_said() -> None:
    seeds = {0: range(1, 9), 1: SEEDS, 2: range(1, 9)}
    raised = sequence_results({**EQUAL, 2: 0.752}, seeds, looks=(3, 8))
    assert raised.finalists[1].comparison is not None
    assert raised.finalists[1].comparison.look == 8
    assert "Tests were made at 3 and 8 seeds, so that more than 5 % of such answers may be wrong." in finals_verdict(
        raised
    )
    assert "Tests were made" not in finals_verdict(sequence_results(EQUAL, {0: SEEDS, 1: SEEDS}, looks=(3, 8)))


def test_the_verdict_says_epochs_of_the_baseline_alone() -> None:
    better = replace(sequence_results({**EQUAL, 1: 0.9}, {0: SEEDS, 1: SEEDS}), baseline_epochs=20)
    assert "110x smaller than ResNet-18 (trained 20 epochs), which has" in finals_verdict(better)
    worse = replace(sequence_results({**EQUAL, 1: 0.6}, {0: SEEDS, 1: SEEDS}), baseline_epochs=20)
    assert finals_verdict(worse).startswith("No finalist is shown to equal ResNet-18 (trained 20 epochs), which has")


def test_the_verdict_has_the_studys_score_and_cost() -> None:
    pair = ObjectivePair("accuracy", "latency_ms")
    results = sequence_results({**EQUAL, 2: 0.9, 3: 0.6}, dict.fromkeys(range(4), SEEDS), pair=pair, tolerance=0.05)
    verdict, answer = finals_verdict(results), results.answer
    assert answer is not None
    assert verdict.startswith(f"{answer.score} accuracy with 50 ms (trial 2, ")
    assert "220x faster than ResNet-18, which has" in verdict
    assert "The next in the sequence, trial 3 with 10 ms, did not hold: worse" in verdict
    assert "macro-F1" not in verdict
    assert "parameters" not in verdict
    json = finals_json(results)
    assert json["objectives"] == {"score": "accuracy", "cost": "latency_ms", "unit": "ms"}
    assert json["standings"][0]["cost"] == 11_000.0
    assert json["standings"][2]["score"]["mean"] == pytest.approx(0.9, abs=0.01)
    assert "objectives" not in finals_json(sequence_results(EQUAL, {0: SEEDS, 1: SEEDS}))


def test_a_network_that_is_not_faster_is_said_to_be_not() -> None:
    pair = ObjectivePair("accuracy", "latency_ms")
    results = sequence_results({**EQUAL, 1: 0.9}, {0: SEEDS, 1: SEEDS}, pair=pair)
    winner = results.winner
    assert winner is not None
    for ratio, text in ((0.5, "not faster"), (1.6, "1.6x faster"), (12.0, "12x faster")):
        changed = replace(results, finalist_results=tuple(
            replace(one, times_smaller=ratio) if one is winner else one for one in results.finalist_results
        ))  # fmt: skip
        assert f": {text} than ResNet-18" in finals_verdict(changed)


def test_a_divergence_is_named_as_the_reason() -> None:
    seeds = {0: (1, 2, 3), 1: (1, 2, 3), 2: (1, 2, 3)}
    equal = dict.fromkeys(range(5), 0.8)
    verdict = finals_verdict(sequence_results(equal, seeds, diverged=[(2, 3)]))
    assert "The next in the sequence, trial 2, did not hold: its training diverged from seed 3." in verdict
    results = sequence_results(equal, seeds, diverged=[(1, 1), (1, 2), (1, 3)])
    assert finals_verdict(results) == (
        "The first of the sequence, trial 1, did not hold: its training diverged from seeds 1, 2, 3."
    )
    partly = sequence_results(equal, seeds, diverged=[(1, 2)]).find("trial 1")
    assert partly is not None
    assert (partly.ruling, partly.held) == ("diverged (seed 2)", False)
