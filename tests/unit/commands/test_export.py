"""Choice of the exported trial by `--trial`."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from nas.commands.composition.trial_export import choose_trial
from nas.errors import StudyError
from nas.search.storage.trial_records import TrialRecord
from nas.study.final_runs import FinalsSpec
from nas.study.target_spec import TargetSpec
from tests.tiny_study import DATASET_SUMMARY, tiny_spec
from tests.unit.search.examples import baseline, record

TRIALS = [record(1, 0.6, 1_000), record(2, 0.795, 10_000), record(3, 0.9, 100_000)]


def study(records: Sequence[TrialRecord], *, is_finals: bool = False, **target: Any) -> Any:
    changes = {"target": TargetSpec(**target), "finals": FinalsSpec(study="s", runs=()) if is_finals else None}
    return SimpleNamespace(
        name="s", spec=tiny_spec(name="s").model_copy(update=changes), dataset_summary=DATASET_SUMMARY,
        records=lambda: list(records), storage=SimpleNamespace(study_names=lambda: ["s"]),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("requested", "target", "number", "reason"),
    [
        ("answer", {}, 2, "the smallest network at the target 0.790 (ResNet-18 0.800 - 0.01)"),
        ("answer", {"macro_f1": 0.5}, 1, "the smallest network at the target 0.5"),
        (
            "answer",
            {"reference": "none"},
            3,
            "the network of the front with the highest macro-F1, as the study has no target",
        ),
        ("smallest", {}, 3, "the smallest network that at least equals ResNet-18"),
        ("best", {"macro_f1": 0.99}, 3, "the network of the front with the highest macro-F1"),
        ("1", {}, 1, "named by --trial"),
    ],
)
def test_a_trial_is_chosen_with_a_reason(requested: str, target: dict[str, Any], number: int, reason: str) -> None:
    chosen = choose_trial(study([baseline(0.8), *TRIALS], **target), requested)
    assert (chosen.number, chosen.reason) == (number, reason)


@pytest.mark.parametrize(
    ("records", "requested", "message"),
    [
        (
            [baseline(0.99), *TRIALS],
            "answer",
            r"No network has reached the target 0\.980 .*Use --trial best, or search",
        ),
        (TRIALS, "answer", r"The baseline is not trained yet.*Use --trial best, or search on\."),
        ([baseline(0.905), *TRIALS], "smallest", r"No network has reached ResNet-18 .*macro-F1 0\.905.*--trial best"),
        ([baseline(0.8)], "answer", "the front of 's' is empty"),
    ],
)
def test_a_trial_that_does_not_exist_is_one_clear_error(
    records: list[TrialRecord], requested: str, message: str
) -> None:
    with pytest.raises(StudyError, match=message):
        choose_trial(study(records), requested)


def test_of_finals_a_trial_must_be_named() -> None:
    finals = study([baseline(0.8), *TRIALS], is_finals=True)
    with pytest.raises(StudyError, match="answer, best or smallest would be picked by the test images; name a trial"):
        choose_trial(finals, "answer")
    assert choose_trial(finals, "2").number == 2


def test_other_words_are_refused() -> None:
    with pytest.raises(StudyError, match="'largest' is neither a trial's number nor answer, best or smallest"):
        choose_trial(study(TRIALS), "largest")
