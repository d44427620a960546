from __future__ import annotations

import io
from base64 import b64decode

import numpy as np
import pytest
from PIL import Image

from nas.report.figures.image_data_uris import filter_sheet, image_picture, map_sheet
from tests.unit.report.synthetic_report import synthetic_comparison, synthetic_dataset

COMPARISON = synthetic_comparison(synthetic_dataset(4))


def pixels_of(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(b64decode(uri.removeprefix("data:image/png;base64,")))))


def test_an_image_is_kept_pixel_by_pixel_and_enlarged_by_a_whole_factor() -> None:
    image = COMPARISON.images[0]
    made = image_picture(image, "a")
    assert np.array_equal(pixels_of(made.uri), np.repeat(image[0][..., None], 3, axis=2))
    assert (made.width, made.height) == (56, 56)
    photo = np.zeros((3, 224, 448), np.uint8)
    assert (image_picture(photo, "a").width, image_picture(photo, "a").height) == (112, 56)


def test_filters_and_maps_are_tiles_with_a_clear_pixel_between() -> None:
    filters = np.zeros((10, 1, 3, 3), np.float32)
    filters[0, 0, 0, 0], filters[0, 0, 0, 1] = 2, -2
    sheet = pixels_of(filter_sheet(filters, "f").uri)
    assert sheet.shape == (7, 31, 4)
    assert tuple(sheet[0, 0]) == (0, 114, 178, 255)
    assert tuple(sheet[0, 1]) == (213, 94, 0, 255)
    assert sheet[:, 3, 3].max() == 0
    maps = pixels_of(map_sheet(np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2), "m").uri)
    assert tuple(maps[0, 0, :3]) == (68, 1, 84)
    assert tuple(maps[1, 1, :3]) == (253, 231, 37)


@pytest.mark.parametrize("channels", [1, 3])
def test_two_images_are_shown_side_by_side(channels: int) -> None:
    pair = np.random.default_rng(0).integers(0, 256, (2 * channels, 28, 20), np.uint8)
    made = image_picture(pair, "a pair")
    shown = pixels_of(made.uri)
    # With two clear pixels between them.
    assert shown.shape == (28, 42, 4)
    assert (made.width, made.height) == (84, 56)
    for left, image in ((0, pair[:channels]), (22, pair[channels:])):
        assert np.array_equal(shown[:, left : left + 20, :3], np.broadcast_to(np.moveaxis(image, 0, -1), (28, 20, 3)))
    assert shown[:, 20:22, 3].max() == 0


def test_filters_of_two_images_are_halves_on_one_scale() -> None:
    filters = np.zeros((9, 2, 3, 3), np.float32)
    filters[0, 0, 0, 0], filters[0, 1, 0, 0] = 1, -2
    sheet = pixels_of(filter_sheet(filters, "f").uri)
    assert sheet.shape == (11, 4 * 7 - 1, 4)
    assert tuple(sheet[0, 3]) == (213, 94, 0, 255)
    blue = sheet[0, 0].astype(int)
    assert blue[2] > blue[0] > 0  # Half as strong as the other image's, and so paler than the strongest blue.
    coloured = np.zeros((1, 6, 3, 3), np.float32)
    coloured[0, 4, 1, 2] = 1
    half = pixels_of(filter_sheet(coloured, "f").uri)
    assert half.shape == (3, 6, 4)
    assert tuple(half[1, 5]) == (128, 255, 128, 255)


def test_maps_of_two_images_stand_below_each_other_on_one_scale() -> None:
    maps = np.zeros((2, 3, 2, 2), np.float32)
    maps[0, 1], maps[1, 1, 0, 0] = 1, 2
    made = map_sheet(maps, "m")
    sheet = pixels_of(made.uri)
    assert sheet.shape == (5, 8, 4)
    assert made.height == 110  # About twice as high as those of one image, by a whole factor.
    assert tuple(sheet[3, 3, :3]) == (253, 231, 37)
    assert tuple(sheet[0, 3, :3]) == (33, 145, 140)
