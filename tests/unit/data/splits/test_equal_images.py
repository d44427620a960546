from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from nas.data.labelled_images import SourceImages, Split
from nas.data.splits.stratified_split import split_images
from nas.errors import FaultyDataError
from nas.results.dataset_inventory import InventoryEntry
from nas.study.data_spec import DataSpec

OWN = DataSpec(source="npz", path="x")


def _split(values: list[int], labels: list[int]) -> Split:
    images = torch.tensor(values, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
    return Split(images, torch.tensor(labels))


def _values(split: Split) -> list[int]:
    return split.images[:, 0, 0, 0].tolist()


TRAIN = _split([1, 2, 3, 4, 5, 6], [0, 0, 0, 1, 1, 1])


def test_test_images_are_kept_out_of_training_and_validation() -> None:
    source = SourceImages("x", ("a", "b"), TRAIN, _split([1, 7], [0, 1]), _split([2, 7, 8], [0, 1, 1]))
    data, test = split_images(source, OWN)
    assert _values(data.train) == [3, 4, 5, 6]
    assert _values(data.validation) == [2, 8]
    assert _values(test) == [1, 7]
    assert data.inventory is not None
    assert data.inventory.num_unexplained == 0
    assert [entry.text for entry in data.inventory.left_out] == [
        "1 train image equal to a test image: train 0", "1 train image equal to a validation image: train 1",
        "1 validation image equal to a test image: validation 1",
    ]  # fmt: skip


def test_they_may_be_kept_and_are_named() -> None:
    source = SourceImages("x", ("a", "b"), TRAIN, _split([1, 7], [0, 1]), _split([2, 8], [0, 1]))
    data, _ = split_images(source, OWN.model_copy(update={"leaks": "keep"}))
    assert _values(data.train) == [1, 2, 3, 4, 5, 6]
    assert data.inventory is not None
    assert [entry.reason for entry in data.inventory.notes] == [
        "train images equal to a test image", "train images equal to a validation image"
    ]  # fmt: skip
    assert data.inventory.left_out == ()


def test_what_is_left_out_is_not_named_as_used() -> None:
    """The image in the test part stays, whatever its label, and the line says that one of both is wrong."""
    train = _split([1, 1, 2, 2, 3, 4, 5], [0, 0, 0, 1, 0, 1, 1])
    test = _split([1, 2, 4, 9], [0, 0, 0, 1])
    names = {"train": list("abcdefg"), "test": list("wxyz")}
    source = SourceImages("x", ("a", "b"), train, test, _split([11, 12], [0, 1]), names=names)
    source = replace(source, inventory=source.full_inventory.with_notes([InventoryEntry("turned", 3, ("a", "e", "w"))]))
    data, _ = split_images(source, OWN)
    assert _values(data.train) == [3, 5]
    assert data.inventory is not None
    assert [entry.text for entry in data.inventory.left_out] == [
        "3 train images equal to a test image: a, b, c",
        "2 train images equal to a test image of another class: one of the labels is wrong: d, f",
    ]
    assert [entry.text for entry in data.inventory.notes] == ["2 turned: e, w"]
    assert data.inventory.num_unexplained == 0


def test_standard_data_sets_are_as_they_are() -> None:
    source = SourceImages("x", ("a", "b"), TRAIN, _split([1, 7], [0, 1]), _split([2, 8], [0, 1]))
    data, _ = split_images(source, DataSpec(source="cifar10"))
    assert len(data.train) == 6
    assert data.inventory is not None
    assert not data.inventory.is_remarkable


def test_repetitions_and_contradictory_labels_are_named_and_used() -> None:
    train = _split([1, 1, 1, 2, 3, 2, 5, 6], [0, 0, 0, 0, 1, 1, 1, 1])
    source = SourceImages(
        "x", ("a", "b"), train, _split([9, 10], [0, 1]), _split([11, 12], [0, 1]), names={"train": list("abcdefgh")}
    )
    data, _ = split_images(source, OWN)
    assert data.inventory is not None
    assert [entry.text for entry in data.inventory.notes] == [
        "2 equal to another image of their class and split: b, c",
        "2 equal to an image of another class: one of the labels is wrong: d, f",
    ]
    assert len(data.train) == 8


def test_no_image_is_in_two_splits_though_all_are_drawn_from_one_folder() -> None:
    values = [*range(100), *range(40)]
    source = SourceImages("x", ("a", "b"), _split(values, [value % 2 for value in values]))
    data, test = split_images(source, OWN)
    splits = [set(_values(split)) for split in (data.train, data.validation, test)]
    assert sum(map(len, splits)) == len(set.union(*splits)) == 100
    assert data.inventory is not None
    assert data.inventory.num_unexplained == 0


def test_a_class_that_would_lose_all_images_is_an_error() -> None:
    source = SourceImages("x", ("a", "b"), TRAIN, _split([1, 2, 3, 9], [0, 0, 0, 1]), _split([10, 11], [0, 1]))
    with pytest.raises(FaultyDataError, match=r'test or validation images: a; give others, or set \[data\] leaks = "k'):
        split_images(source, OWN)


def test_the_hash_sees_pixels_labels_order_and_split() -> None:
    def content(train: Split, test: Split) -> object:
        data, _ = split_images(SourceImages("x", ("a", "b"), train, test, _split([20, 21], [0, 1])), OWN)
        return data.content

    test = _split([8, 9], [0, 1])
    first = content(TRAIN, test)
    assert first == content(_split([1, 2, 3, 4, 5, 6], [0, 0, 0, 1, 1, 1]), _split([8, 9], [0, 1]))
    changed = {
        "train": content(_split([1, 2, 3, 4, 5, 7], [0, 0, 0, 1, 1, 1]), test),
        "label": content(_split([1, 2, 3, 4, 5, 6], [0, 0, 1, 1, 1, 1]), test),
        "order": content(_split([2, 1, 3, 4, 5, 6], [0, 0, 0, 1, 1, 1]), test),
        "black": content(TRAIN, _split([0, 0], [0, 1])),
    }
    lines = {key: first.changes(now, ("a", "b")) for key, now in changed.items()}  # type: ignore[attr-defined]
    assert lines["train"] == ["data: other train images than before of b"]
    assert lines["label"] == ["data: other train images than before of a, b"]
    assert lines["black"] == ["data: other test images than before of a, b"]
    assert lines["order"][0].startswith("data: the same images, but in other splits or another order")
    assert first.changes(first, ("a", "b")) == []  # type: ignore[attr-defined]
