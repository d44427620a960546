from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nas.data.augment import random_shift


def _slow_shift(images_NCHW: Tensor, rows: list[int], columns: list[int], padding: float) -> Tensor:
    """One image and one pixel at a time, from the definition."""
    shifted = torch.full_like(images_NCHW, padding)
    _, _, height, width = images_NCHW.shape
    for number, (down, right) in enumerate(zip(rows, columns, strict=True)):
        for y in range(height):
            for x in range(width):
                if 0 <= y - down < height and 0 <= x - right < width:
                    shifted[number, :, y, x] = images_NCHW[number, :, y - down, x - right]
    return shifted


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(("channels", "max_pixels", "padding"), [(1, 2, 0.0), (3, 3, 7.0), (2, 9, 0.0)])
def test_agrees_with_the_slow_definition(dtype: torch.dtype, channels: int, max_pixels: int, padding: float) -> None:
    images = torch.randint(0, 256, (20, channels, 5, 7), generator=torch.Generator().manual_seed(1)).to(dtype)
    shifts = torch.randint(-max_pixels, max_pixels + 1, (2, 20), generator=torch.Generator().manual_seed(4))
    expected = _slow_shift(images, shifts[0].tolist(), shifts[1].tolist(), padding)
    before = images.clone()
    shifted = random_shift(images, max_pixels, torch.Generator().manual_seed(4), padding)
    assert shifted.dtype == dtype
    assert torch.equal(shifted, expected)
    assert torch.equal(images, before)


def test_every_shift_occurs_and_about_as_often() -> None:
    images = torch.zeros(5000, 1, 5, 5)
    images[:, :, 2, 2] = 1
    heat = random_shift(images, 2, torch.Generator().manual_seed(0)).sum(dim=(0, 1))
    assert heat.sum() == 5000  # The marked pixel never leaves the frame.
    assert 130 < heat.min() <= heat.max() < 270  # 200 ± 5 standard deviations.


def test_no_shift_draws_nothing() -> None:
    images = torch.rand(3, 1, 4, 4)
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    assert torch.equal(random_shift(images, 0, generator), images)
    assert torch.equal(generator.get_state(), state)


def test_negative_is_refused() -> None:
    with pytest.raises(ValueError, match="max_pixels"):
        random_shift(torch.rand(1, 1, 4, 4), -1, torch.Generator())
