from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nas.results.dataset_summary import DatasetSummary
from nas.search.analysis.target_remedies import target_remedies
from nas.search.storage.trial_records import TrialRecord
from tests.tiny_study import DATASET_SUMMARY, tiny_spec
from tests.unit.search.examples import baseline, record, stopped

CUT = replace(DATASET_SUMMARY, train_counts=(60, 40))
NEAREST = record(1, 0.5, 400_000)


def remedies(*records: TrialRecord, dataset: DatasetSummary | None = None, **budget: Any) -> list[str]:
    """First word or key of each remedy for a study of two trials and at most 100 training images."""
    found = target_remedies(tiny_spec(trials=2, **budget), [*records, NEAREST], NEAREST, dataset)
    return [text.removeprefix("more ").split(" ")[0] for text in found]


def test_trials_are_left_until_as_many_as_the_budgets_have_ended() -> None:
    running = record(3, 0.0, state="RUNNING", objectives=None)
    assert remedies(baseline(0.9), running, dataset=DATASET_SUMMARY) == ["trials", "epochs"]
    for ended in (record(2, 0.1), record(2), stopped(2, 0.1)):
        assert remedies(ended, dataset=DATASET_SUMMARY) == ["epochs"]


def test_training_images_help_where_the_limit_has_cut_them() -> None:
    assert remedies(dataset=DATASET_SUMMARY) == ["trials", "epochs"]
    assert remedies(dataset=CUT) == remedies(dataset=None) == ["trials", "epochs", "training"]
    few_pairs = replace(DATASET_SUMMARY, part_classes=("0", "1"))
    assert remedies(dataset=few_pairs) == ["trials", "epochs", "training"]


@pytest.mark.parametrize(("max_params", "is_close"), [(800_000, True), (800_001, False)])
def test_a_larger_network_helps_where_the_nearest_is_close_to_the_limit(max_params: int, is_close: bool) -> None:
    found = list(target_remedies(tiny_spec(trials=1, max_params=max_params), [NEAREST], NEAREST, DATASET_SUMMARY))
    assert (f"a larger network than budget.max_params = {max_params:,}" in found) == is_close
