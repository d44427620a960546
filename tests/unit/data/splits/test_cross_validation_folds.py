from __future__ import annotations

import pytest
import torch

from nas.data.labelled_images import Split
from nas.data.splits.cross_validation_folds import split_fold
from nas.errors import DataError
from nas.study.grid_spec import Fold


def _split(first: int, labels: list[int]) -> Split:
    """Images of one pixel with a unique value."""
    pixels = torch.arange(first, first + len(labels), dtype=torch.uint8)
    return Split(pixels.reshape(-1, 1, 1, 1), torch.tensor(labels))


TRAIN, VALIDATION = _split(0, [0, 1] * 10), _split(20, [0, 1] * 5)


def _pixels(split: Split) -> list[int]:
    pixels: list[int] = split.images.flatten().tolist()
    return pixels


def test_folds_share_no_image_and_leave_none_out() -> None:
    folds = [split_fold(TRAIN, VALIDATION, Fold(index, 5), seed=1) for index in range(5)]
    held_out = [_pixels(validation) for _, validation in folds]
    assert sorted(pixel for pixels in held_out for pixel in pixels) == list(range(30))
    for train, validation in folds:
        assert sorted(_pixels(train) + _pixels(validation)) == list(range(30))
        assert validation.class_counts(2) == (3, 3)
        assert all(pixel % 2 == label for pixel, label in zip(_pixels(train), train.labels.tolist(), strict=True))


def test_another_seed_draws_other_folds() -> None:
    first, again, other = (_pixels(split_fold(TRAIN, VALIDATION, Fold(0, 5), seed)[1]) for seed in (1, 1, 2))
    assert first == again != other


def test_more_folds_than_images_are_refused() -> None:
    with pytest.raises(DataError, match=r"grid.folds = 16: no class has as many images"):
        split_fold(TRAIN, VALIDATION, Fold(0, 16), seed=1)
