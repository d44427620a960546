from __future__ import annotations

import numpy as np
import pytest
import torch

from nas.data.labelled_images import SourceImages, Split
from nas.data.splits.grouped_split import hold_out_groups
from nas.data.splits.stratified_split import split_images
from nas.errors import DataError
from nas.study.data_spec import DataSpec

GROUPS = np.repeat(np.arange(60), np.tile([2, 5, 9], 20))
LABELS = np.random.default_rng(0).integers(0, 3, 60)[GROUPS]


def test_groups_stay_whole_and_classes_are_in_both_parts() -> None:
    for seed in range(5):
        kept, held_out = hold_out_groups(LABELS, GROUPS, 0.2, np.random.default_rng(seed), "abc")
        assert sorted([*kept, *held_out]) == list(range(len(GROUPS)))
        assert not set(GROUPS[kept]) & set(GROUPS[held_out])
        shares = np.bincount(LABELS[held_out], minlength=3) / np.bincount(LABELS)
        assert (np.abs(shares - 0.2) < 0.1).all()


def test_groups_of_several_classes() -> None:
    labels = np.arange(len(GROUPS)) % 3
    kept, held_out = hold_out_groups(labels, GROUPS, 0.2, np.random.default_rng(0), "abc")
    assert set(labels[kept]) == set(labels[held_out]) == {0, 1, 2}


def test_a_class_of_one_group_cannot_be_divided() -> None:
    with pytest.raises(DataError, match=r"classes by number of groups: 'b' \(1\), 'a' \(3\); give each class images"):
        hold_out_groups(np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 3, 3]), 0.3, np.random.default_rng(0), "ab")


def _images(first: int, number: int) -> torch.Tensor:
    return torch.arange(first, first + number, dtype=torch.int32).view(torch.uint8).reshape(-1, 1, 2, 2)


def test_splits_share_no_group() -> None:
    train = Split(_images(0, len(LABELS)), torch.from_numpy(LABELS))
    spec = DataSpec(source="folder", path="x", group_by="p")
    data, test = split_images(SourceImages("x", tuple("abc"), train, groups={"train": GROUPS}), spec)
    numbers = [
        split.images.reshape(-1, 4).numpy().view(np.int32)[:, 0] for split in (data.train, data.validation, test)
    ]
    of_group = [set(GROUPS[one]) for one in numbers]
    assert sum(map(len, of_group)) == len(set.union(*of_group)) == 60
    assert sum(map(len, numbers)) == len(LABELS)


def test_a_group_of_the_test_images_is_kept_out_of_training() -> None:
    train, test = Split(_images(0, len(LABELS)), torch.from_numpy(LABELS)), Split(_images(900, 3), torch.arange(3))
    groups = {"train": GROUPS, "test": np.array([0, 70, 71])}
    spec = DataSpec(source="folder", path="x", group_by="p")
    data, _ = split_images(SourceImages("x", tuple("abc"), train, test, groups=groups), spec)
    assert data.inventory is not None
    left_out = {entry.reason: entry.count for entry in data.inventory.left_out}
    assert sum(left_out.values()) == 2
    assert set(left_out) <= {
        "train images of the group of a test image",
        "validation images of the group of a test image",
    }
    assert data.inventory.num_unexplained == 0


def test_the_number_of_groups_is_told() -> None:
    """A pattern that finds too much, or too little, is seen by the number of groups in each split."""
    train = Split(_images(0, len(LABELS)), torch.from_numpy(LABELS))
    spec = DataSpec(source="folder", path="x", group_by="p")
    data, _ = split_images(SourceImages("x", tuple("abc"), train, groups={"train": GROUPS}), spec)
    assert data.inventory is not None
    (reading,) = data.inventory.readings
    start = f"group_by: 60 groups of {len(LABELS)} images: "
    assert reading.startswith(start)
    assert sum(int(part.split()[0]) for part in reading.removeprefix(start).split(", ")) == 60
