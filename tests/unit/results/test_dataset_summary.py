from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace

import pytest

from nas.results.dataset_summary import DatasetSummary

DATASET_SUMMARY = DatasetSummary("cats", ("ä", "b"), 3, 8, 9, (5, 2), (1, 0), 4, (0.1, 0.2, 0.3), (1.0, 0.5, 0.25))


LATER = ("part_classes", "bits", "content", "inventory")
"""Fields that the summaries of version 0.1.0 lack."""


def test_json_round_trip() -> None:
    back = DatasetSummary.from_json(json.dumps(asdict(DATASET_SUMMARY)))
    assert back == DATASET_SUMMARY
    assert hash(back) == hash(DATASET_SUMMARY)


def test_summaries_from_before_there_were_pairs_are_read_and_are_of_the_same_data() -> None:
    older = {key: value for key, value in asdict(DATASET_SUMMARY).items() if key not in LATER}
    back = DatasetSummary.from_json(json.dumps(older))
    assert back == DATASET_SUMMARY
    assert not back.is_pair
    assert DATASET_SUMMARY.fingerprint == hashlib.sha256(json.dumps(older).encode()).hexdigest()[:16]


def test_pairs_of_other_classes_are_other_data() -> None:
    cats, dogs = (replace(DATASET_SUMMARY, part_classes=classes) for classes in (("a", "b"), ("a", "c")))
    assert cats.is_pair
    assert len({cats.fingerprint, dogs.fingerprint, DATASET_SUMMARY.fingerprint}) == 3
    assert DatasetSummary.from_json(json.dumps(asdict(cats))) == cats


def test_sums() -> None:
    assert (DATASET_SUMMARY.num_train, DATASET_SUMMARY.num_validation) == (7, 1)
    assert replace(DATASET_SUMMARY, train_counts=(0, 2)).num_train == 2


@pytest.mark.parametrize("change", [{"unknown": 1}, {"name": ...}])
def test_a_missing_or_unknown_key_is_refused(change: dict[str, object]) -> None:
    tables = {key: value for key, value in {**asdict(DATASET_SUMMARY), **change}.items() if value is not ...}
    with pytest.raises(TypeError):
        DatasetSummary.from_json(json.dumps(tables))
