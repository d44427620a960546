from __future__ import annotations

import json
from typing import Any

import pytest

from nas.search.analysis.search_progress import SearchProgress, search_progress
from nas.search.storage.trial_records import TrialRecord
from nas.study.baseline_spec import BaselineSpec
from nas.study.target_spec import TargetSpec
from tests.tiny_study import tiny_spec
from tests.unit.search.examples import RESNET18, baseline, completed, stopped
from tests.unit.search.test_improvement import at, running, trial

TRIALS = [
    trial(1, 0.731, 48_112, 0, 10), trial(2, 0.745, 61_204, 10, 20), stopped(3, 0.1, started=at(20), ended=at(22)),
    stopped(4, 0.1, started=at(22), ended=at(24), reused_from=3), trial(5, None, 9, 24, 25), running(6, 25),
]  # fmt: skip
TAIL = "; 5 trials, 1 stopped, 9 min since the last improvement"


def progress(records: list[TrialRecord], minutes: float = 29, **changes: Any) -> SearchProgress:
    return search_progress(tiny_spec().model_copy(update=changes), records, at(minutes), ())


@pytest.mark.parametrize(
    ("records", "changes", "text"),
    [
        (
            [baseline(0.752), *TRIALS],
            {},
            "target 0.742 (ResNet-18 0.752 - 0.01); smallest at the target so far 61,204 parameters (trial 2)" + TAIL,
        ),
        (
            [baseline(0.752), *TRIALS],
            {"target": TargetSpec(tolerance=0.0)},
            "target 0.752 (ResNet-18 0.752); none at the target so far, nearest 0.745 with 61,204 parameters" + TAIL,
        ),
        (
            TRIALS,
            {"target": TargetSpec(macro_f1=0.73)},
            "target 0.730; smallest at the target so far 48,112 parameters (trial 1)"
            "; 5 trials, 1 stopped, 19 min since the last improvement",
        ),
        (
            TRIALS,
            {},
            "target not known before the baseline has a score; best macro-F1 0.745 with 61,204 parameters, "
            "front of 2 networks" + TAIL,
        ),
        (
            TRIALS,
            {"baseline": BaselineSpec(enabled=False)},
            "best macro-F1 0.745 with 61,204 parameters, front of 2 networks" + TAIL,
        ),
        (
            [trial(1, None, 10, 0, 5), running(2, 5)],
            {"target": TargetSpec(macro_f1=0.73)},
            "target 0.730; no network has a result yet; 1 trial, 0 stopped",
        ),
    ],
)
def test_the_sentence(records: list[TrialRecord], changes: dict[str, Any], text: str) -> None:
    assert progress(records, **changes).text == text


def test_a_target_from_a_baseline_in_training_is_called_predicted() -> None:
    in_training = running(0, 0, is_baseline=True, genome=RESNET18, curve=completed(0.752).curve[:1])
    shown = progress([in_training, *TRIALS])
    assert shown.text == (
        "predicted target 0.742 (ResNet-18 0.752 - 0.01); smallest at the target so far 61,204 parameters (trial 2)"
        + TAIL
    )
    assert shown.as_json()["target"] == {
        "macro_f1": pytest.approx(0.742), "reference_f1": 0.752, "tolerance": 0.01, "is_predicted": True
    }  # fmt: skip


def test_json_has_the_numbers_of_the_sentence() -> None:
    fields = progress([baseline(0.752), *TRIALS]).as_json()
    assert json.loads(json.dumps(fields, allow_nan=False)) == fields
    assert {key: fields[key] for key in ("answer", "answer_params", "best_macro_f1", "best_params", "front_size")} == {
        "answer": 2, "answer_params": 61_204, "best_macro_f1": 0.745, "best_params": 61_204, "front_size": 2
    }  # fmt: skip
    assert (fields["trials"], fields["stopped"], fields["minutes_since_improvement"]) == (5, 1, 9.0)
    empty = progress([], target=TargetSpec(reference="none")).as_json()
    assert empty["text"] == "no network has a result yet; 0 trials, 0 stopped"
    assert [empty[key] for key in ("target", "answer", "best_macro_f1", "minutes_since_improvement")] == [None] * 4
