from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.data.batches import Batches
from nas.data.images import Split


def _numbered(num_images: int) -> Split:
    """Images that tell their index, with the index as label."""
    images = torch.arange(num_images).reshape(-1, 1, 1, 1).to(torch.uint8)
    return Split(images, torch.arange(num_images))


def _labels(batches: Batches, epoch: int) -> list[int]:
    return [label for _, labels in batches.shuffled(epoch) for label in labels.tolist()]


@given(num_images=st.integers(1, 60), batch_size=st.integers(1, 70))
def test_a_shuffled_epoch_has_each_image_once_but_a_lonely_last(num_images: int, batch_size: int) -> None:
    batches = Batches(_numbered(num_images), batch_size, "cpu")
    sizes = [len(labels) for _, labels in batches.shuffled(0)]
    labels = _labels(batches, 0)
    is_lonely = num_images > batch_size > 1 and num_images % batch_size == 1
    assert len(set(labels)) == len(labels) == num_images - is_lonely
    assert len(sizes) == batches.num_shuffled
    assert all(size > 1 for size in sizes) or batch_size == 1 or num_images == 1


def test_images_keep_their_labels() -> None:
    for images, labels in Batches(_numbered(50), 8, "cpu").shuffled(0):
        assert torch.equal(images.flatten().long(), labels)


def test_order_follows_from_seed_and_epoch_alone() -> None:
    batches = Batches(_numbered(100), 8, "cpu", seed=3)
    first, second = _labels(batches, 0), _labels(batches, 1)
    torch.manual_seed(99)
    assert _labels(Batches(_numbered(100), 8, "cpu", seed=3), 1) == second
    assert first != second
    assert first != sorted(first)
    assert _labels(Batches(_numbered(100), 8, "cpu", seed=2), 1) not in (first, second)


def test_shuffling_leaves_the_global_stream_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    _labels(Batches(_numbered(10), 2, "cpu"), 0)
    assert torch.equal(torch.rand(1), expected)


def test_evaluation_is_in_order_and_whole() -> None:
    split = _numbered(9)
    batches = list(Batches(split, 4, "cpu").in_order())
    assert [len(labels) for _, labels in batches] == [4, 4, 1]
    assert torch.equal(torch.cat([images for images, _ in batches]), split.images)
    assert batches[0][0].data_ptr() == split.images.data_ptr()


def test_refuses_nothing_and_no_batch() -> None:
    with pytest.raises(ValueError, match="without images"):
        Batches(_numbered(0), 4, "cpu")
    with pytest.raises(ValueError, match="batch_size"):
        Batches(_numbered(3), 0, "cpu")
