from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.data.labelled_images import Split
from nas.data.sampling.batches import Batches, gather, sequential_batches
from nas.data.sampling.samplers import Draws, ShuffleSampler


def _numbered(num_images: int) -> Split:
    """Images whose pixel value and label are their index."""
    images = torch.arange(num_images).reshape(-1, 1, 1, 1).to(torch.uint8)
    return Split(images, torch.arange(num_images))


def _indices(batches: Batches, epoch: int) -> list[int]:
    return [index for draws in batches.epoch(epoch) for index in draws.first.tolist()]


def _batches(num_images: int, batch_size: int, seed: int = 0) -> Batches:
    return Batches(ShuffleSampler(num_images, seed), batch_size, "cpu")


@given(num_images=st.integers(1, 60), batch_size=st.integers(1, 70))
def test_a_shuffled_epoch_has_each_image_once_but_a_lonely_last(num_images: int, batch_size: int) -> None:
    batches = _batches(num_images, batch_size)
    sizes = [len(draws) for draws in batches.epoch(0)]
    shown = _indices(batches, 0)
    is_lonely = num_images > batch_size > 1 and num_images % batch_size == 1
    assert len(set(shown)) == len(shown) == num_images - is_lonely
    assert len(sizes) == batches.num_batches
    assert all(size > 1 for size in sizes) or batch_size == 1 or num_images == 1


def test_images_keep_their_shown() -> None:
    split = _numbered(50)
    for draws in _batches(50, 8).epoch(0):
        batch = gather(split, draws)
        assert torch.equal(batch.labels, draws.first)
        assert torch.equal(batch.images.flatten().long(), batch.labels)


def test_an_epoch_can_begin_at_any_batch() -> None:
    whole = [draws.first.tolist() for draws in _batches(50, 8).epoch(2)]
    assert [draws.first.tolist() for draws in _batches(50, 8).epoch(2, first=3)] == whole[3:]


def test_order_follows_from_seed_and_epoch_alone() -> None:
    batches = _batches(100, 8, seed=3)
    first, second = _indices(batches, 0), _indices(batches, 1)
    torch.manual_seed(99)
    assert _indices(_batches(100, 8, seed=3), 1) == second
    assert first != second
    assert first != sorted(first)
    assert _indices(_batches(100, 8, seed=2), 1) not in (first, second)


def test_shuffling_leaves_the_global_stream_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    _indices(_batches(10, 2), 0)
    assert torch.equal(torch.rand(1), expected)


def test_evaluation_is_in_order_and_whole() -> None:
    split = _numbered(9)
    batches = list(sequential_batches(split, 4))
    assert [len(labels) for _, labels in batches] == [4, 4, 1]
    assert torch.equal(torch.cat([images for images, _ in batches]), split.images)
    assert batches[0][0].data_ptr() == split.images.data_ptr()


def test_refuses_nothing_and_no_batch() -> None:
    with pytest.raises(ValueError, match="without images"):
        _batches(0, 4)
    with pytest.raises(ValueError, match="batch_size"):
        _batches(3, 0)


class _Between:
    """Sampler with fixed interpolation between neighbouring images."""

    num_draws = 4

    def draws(self, epoch: int) -> Draws:
        return Draws(torch.arange(4), torch.tensor([1, 2, 3, 3]), torch.tensor([1 / 3, 0.0, 0.5, 0.9]))


def test_synthetic_images_lie_between_two_and_are_labelled_as_the_first() -> None:
    split = Split(torch.tensor([0, 90, 200, 10], dtype=torch.uint8).reshape(4, 1, 1, 1), torch.arange(4))
    (draws,) = Batches(_Between(), 8, "cpu").epoch(0)
    batch = gather(split, draws)
    assert batch.images.dtype == torch.uint8
    assert batch.images.flatten().tolist() == [30, 90, 105, 10]
    assert batch.labels.tolist() == [0, 1, 2, 3]
