from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from nas.export.foreground_polarity import ForegroundPolarity
from nas.export.inference.input_warnings import ImageProperties, InputWarning, TrainingImageProfile

CHARACTERS = TrainingImageProfile(1, 28, 28, False, ForegroundPolarity("light on dark", 0.0))
PHOTOS = TrainingImageProfile(3, 64, 64, True, ForegroundPolarity(None, 0.45))
GREY_28 = ImageProperties(28, 28, is_grey=True)


def _warnings(profile: TrainingImageProfile, image: ImageProperties, level: int = 0) -> list[InputWarning]:
    pixels = np.full((1, profile.channels, profile.height, profile.width), level, dtype=np.uint8)
    pixels[:, :, 10:18, 10:18] = 255 - level
    return profile.input_warnings([image], pixels)[0]


def test_an_image_like_the_training_images_raises_no_warning() -> None:
    assert _warnings(CHARACTERS, GREY_28) == []
    assert _warnings(PHOTOS, ImageProperties(4000, 3000, is_grey=False)) == []
    assert _warnings(PHOTOS, ImageProperties(64, 20, is_grey=False), level=255) == []


def test_each_warning() -> None:
    assert _warnings(CHARACTERS, ImageProperties(28, 27, is_grey=True)) == [InputWarning.SIZE]
    assert _warnings(CHARACTERS, ImageProperties(28, 28, is_grey=False)) == [InputWarning.CHANNELS]
    assert _warnings(CHARACTERS, GREY_28, level=255) == [InputWarning.POLARITY]
    assert _warnings(CHARACTERS, ImageProperties(640, 480, is_grey=False), level=255) == [
        InputWarning.SIZE,
        InputWarning.CHANNELS,
        InputWarning.POLARITY,
    ]


def test_photos_of_any_size_are_expected_unless_there_is_little_in_them() -> None:
    assert _warnings(PHOTOS, ImageProperties(32, 8, is_grey=False)) == []
    assert _warnings(PHOTOS, ImageProperties(31, 31, is_grey=False)) == [InputWarning.SIZE]
    assert _warnings(replace(PHOTOS, fitted=False), ImageProperties(4000, 3000, is_grey=False)) == [InputWarning.SIZE]
    assert _warnings(PHOTOS, ImageProperties(64, 64, is_grey=True)) == [InputWarning.CHANNELS]


def test_sentences() -> None:
    paths = [Path("a.png"), Path("b.png")]
    assert CHARACTERS.sentence(InputWarning.POLARITY, paths, 5) == (
        "2 of 5 images are dark on light, the training images were light on dark: invert? (first: a.png)"
    )
    assert CHARACTERS.sentence(InputWarning.SIZE, paths[:1], 1) == (
        "the image is not of the 28x28 pixels that all training images had (a.png)"
    )
    assert CHARACTERS.sentence(InputWarning.CHANNELS, paths[:1], 3) == (
        "1 of 3 images is in colour, the training images were grey (a.png)"
    )
    assert "smaller than half of the 64x64 pixels" in PHOTOS.sentence(InputWarning.SIZE, paths, 2)
