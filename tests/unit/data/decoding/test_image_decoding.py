from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits as sklearn_digits

from nas.data.decoding.image_decoding import Decoding, decode_image, decode_images
from nas.errors import DataError

AS_THEY_ARE = Decoding(image_size=None, channels=None)
DIGIT = (sklearn_digits().images[0] * 15).astype(np.uint8)
COLOUR = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def _save(path: Path, pixels: np.ndarray, mode: str | None = None, **options: object) -> str:
    image = Image.fromarray(pixels)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path.name


def test_a_grey_digit_comes_back_pixel_by_pixel(tmp_path: Path) -> None:
    names = [_save(tmp_path / "a.png", DIGIT), _save(tmp_path / "b.png", DIGIT.T)]
    pixels = decode_images(tmp_path, names, AS_THEY_ARE)
    assert pixels.shape == (2, 1, 8, 8)
    assert np.array_equal(pixels[:, 0], [DIGIT, DIGIT.T])


def test_grey_stored_as_colour_is_grey_unless_one_image_is_not(tmp_path: Path) -> None:
    grey = _save(tmp_path / "a.png", DIGIT, "RGB")
    colour = _save(tmp_path / "b.png", COLOUR)
    assert decode_images(tmp_path, [grey], AS_THEY_ARE).shape == (1, 1, 8, 8)
    both = decode_images(tmp_path, [grey, colour], AS_THEY_ARE)
    assert np.array_equal(both[0], [DIGIT] * 3)
    assert np.array_equal(both[1], COLOUR.transpose(2, 0, 1))


def test_channels_are_forced(tmp_path: Path) -> None:
    name = _save(tmp_path / "a.png", COLOUR)
    grey = decode_images(tmp_path, [name], Decoding(None, 1))
    luma = COLOUR @ [0.299, 0.587, 0.114]
    assert np.abs(grey[0, 0] - luma).max() <= 1
    digit = _save(tmp_path / "b.png", DIGIT)
    assert decode_images(tmp_path, [digit], Decoding(None, 3)).shape == (1, 3, 8, 8)


def test_exif_orientation_is_respected(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation 6: display rotated by 90° clockwise.
    _save(tmp_path / "a.png", DIGIT, exif=exif)
    assert np.array_equal(decode_image(tmp_path / "a.png", AS_THEY_ARE), np.rot90(DIGIT, k=-1))


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    ink = np.zeros((8, 8, 4), dtype=np.uint8)
    ink[2:4, 2:4, 3] = 255
    _save(tmp_path / "a.png", ink)
    expected = np.where(ink[..., 3] == 255, 0, 255)
    assert np.array_equal(decode_image(tmp_path / "a.png", AS_THEY_ARE), expected)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    deep = DIGIT.astype(np.uint16) * 256 + 17
    _save(tmp_path / "a.png", deep)
    assert np.array_equal(decode_image(tmp_path / "a.png", AS_THEY_ARE), DIGIT)


def test_bilevel_and_palette(tmp_path: Path) -> None:
    _save(tmp_path / "a.png", DIGIT, "1")
    assert set(np.unique(decode_image(tmp_path / "a.png", AS_THEY_ARE))) == {0, 255}
    few_colours = COLOUR[:, :1].repeat(8, axis=1)
    _save(tmp_path / "b.png", few_colours, "P", colors=8)
    assert decode_image(tmp_path / "b.png", AS_THEY_ARE).shape == (8, 8, 3)


def test_resizing_keeps_the_aspect_and_pads_with_the_borders_colour(tmp_path: Path) -> None:
    wide = np.full((10, 40), 200, dtype=np.uint8)
    wide[2:8, 10:30] = 0
    _save(tmp_path / "a.png", wide)
    square = decode_image(tmp_path / "a.png", Decoding(20, None))
    assert square.shape == (20, 20)
    assert (square[:7] == 200).all()
    assert (square[12:] == 200).all()
    assert square[8:11, 7:13].max() < 50
    assert (square[7:12, 0] == 200).all()


def test_an_extreme_aspect_keeps_a_row(tmp_path: Path) -> None:
    _save(tmp_path / "a.png", np.full((1, 300, 3), (9, 8, 7), dtype=np.uint8))
    square = decode_image(tmp_path / "a.png", Decoding(8, None))
    assert (square == [9, 8, 7]).all()


def test_progress_counts_each_image(tmp_path: Path) -> None:
    names = [_save(tmp_path / f"{n}.png", DIGIT) for n in range(3)]
    calls: list[tuple[str, int, int]] = []
    decode_images(tmp_path, names, AS_THEY_ARE, lambda *call: calls.append(call))
    assert calls == [(f"decoding {tmp_path.name}", done, 3) for done in (1, 2, 3)]


def test_corrupt_files_and_sizes_are_all_reported(tmp_path: Path) -> None:
    whole = _save(tmp_path / "whole.png", np.kron(DIGIT, np.ones((9, 9), np.uint8)))
    small = _save(tmp_path / "small.png", DIGIT)
    cut = []
    for number in range(6):
        cut.append(f"cut{number}.png")
        content = (tmp_path / "whole.png").read_bytes()
        (tmp_path / cut[-1]).write_bytes(content[: len(content) // 2])
    (tmp_path / "text.jpg").write_text("no pixels")
    with pytest.raises(DataError) as caught:
        decode_images(tmp_path, ["text.jpg", *cut, whole, small], AS_THEY_ARE)
    _, corrupt, sizes = str(caught.value).splitlines()
    assert "text.jpg (no image), cut0.png (" in corrupt
    assert corrupt.endswith("and 2 others")
    assert sizes.strip() == (
        "images of different sizes: 72×72 (1, as whole.png), 8×8 (1, as small.png); fit them with image_size"
    )
    assert decode_images(tmp_path, [whole, small], Decoding(16, None)).shape == (2, 1, 16, 16)
