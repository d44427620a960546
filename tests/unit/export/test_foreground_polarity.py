from __future__ import annotations

import numpy as np
import pytest

from nas.data.decoding.image_decoding import Pixels
from nas.data.sources.standard_datasets import load_digits
from nas.export.foreground_polarity import ForegroundPolarity

DIGITS = load_digits().train.images.numpy()


def test_digits_are_light_on_dark_and_their_negatives_are_not() -> None:
    digits = ForegroundPolarity.of(DIGITS[:64])
    assert digits == ForegroundPolarity("light on dark", 0.0)
    assert not digits.inverted(DIGITS).any()
    assert digits.inverted(255 - DIGITS).all()
    negatives = ForegroundPolarity.of(255 - DIGITS[:64])
    assert negatives == ForegroundPolarity("dark on light", 1.0)
    assert not negatives.inverted(255 - DIGITS).any()
    assert negatives.inverted(DIGITS).all()


def _photos(count: int) -> Pixels:
    """Simulated photographs: a bright or dark object on a background of random level, with noise."""
    generator = np.random.default_rng(0)
    levels = generator.uniform(20, 235, (count, 2, 3))
    photos = np.broadcast_to(levels[:, 0, :, None, None], (count, 3, 32, 32)).copy()
    photos[:, :, 8:24, 6:26] = levels[:, 1, :, None, None]
    return np.clip(photos + generator.normal(0, 10, photos.shape), 0, 255).astype(np.uint8)


def test_photos_have_no_polarity_so_that_none_is_inverted() -> None:
    photos = _photos(300)
    photo_polarity = ForegroundPolarity.of(photos[:64])
    assert photo_polarity.polarity is None
    assert 0.3 < photo_polarity.border < 0.7
    assert not photo_polarity.inverted(photos).any()
    assert not photo_polarity.inverted(255 - photos).any()


def test_objects_on_white_are_dark_on_light_in_colour_too() -> None:
    photos = _photos(200)
    is_outside = np.ones((32, 32), dtype=bool)
    is_outside[8:24, 6:26] = False
    photos[:, :, is_outside] = 250
    shop = ForegroundPolarity.of(photos[:64])
    assert shop.polarity == "dark on light"
    assert shop.inverted(photos).mean() < 0.01
    assert shop.inverted(255 - photos).mean() > 0.95


def test_strokes_that_touch_the_border_are_not_taken_for_the_ground() -> None:
    images = np.zeros((1, 1, 9, 9), dtype=np.uint8)
    images[0, 0, :, 4] = 255
    assert ForegroundPolarity.of(images) == ForegroundPolarity("light on dark", 0.0)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_empty_image_is_not_inverted(level: int) -> None:
    assert not ForegroundPolarity("light on dark", 0.0).inverted(np.full((1, 1, 8, 8), level, dtype=np.uint8)).any()
