from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data.decoding import image_decoding
from nas.data.decoding.decoded_folder import DecodedFolder, decode_folder
from nas.data.decoding.image_decoding import Decoding, Pixels
from nas.errors import FaultyDataError

GREY = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)


def _decode(root: Path, decoding: Decoding | None = None) -> tuple[DecodedFolder, Pixels]:
    names = sorted(path.name for path in root.iterdir() if path.is_file())
    account = decode_folder(root, names, decoding or Decoding(None, None), root / "out.npy")
    assert len(account.kept) + sum(map(len, account.left_out.values())) == len(names)
    pixels = np.load(root / "out.npy") if account.kept else np.zeros((0, 1, 8, 8), np.uint8)
    assert sorted(path.name for path in root.iterdir()) == sorted([*names, *(["out.npy"] if account.kept else [])])
    return account, pixels


def test_files_that_cannot_be_read_are_named_by_reason(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    for name, format in (("cut.png", "PNG"), ("cut.jpg", "JPEG")):
        Image.fromarray(np.kron(GREY, np.ones((9, 9), np.uint8))).save(tmp_path / name, format=format)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    (tmp_path / "page.jpg").write_text("<html><body>404")
    (tmp_path / "photo.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "deep.tif")
    Image.fromarray(GREY).save(tmp_path / "z.png")
    account, pixels = _decode(tmp_path)
    assert account.left_out == {
        "damaged or cut off": ["cut.jpg", "cut.png"], "no image (a web page)": ["page.jpg"],
        "no image (HEIC)": ["photo.jpg"], "of 32 bits a pixel, to be converted to 8 or 16": ["deep.tif"],
    }  # fmt: skip
    assert np.array_equal(pixels[:, 0], [GREY, GREY])


def test_a_program_for_an_interpreter_is_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.png", format="EPS")
    monkeypatch.setattr("subprocess.Popen", lambda *_args, **_options: pytest.fail("a program was started"))
    assert _decode(tmp_path)[0].left_out == {"no image (PostScript)": ["a.png"]}


def test_no_file_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("text")
    account, _ = _decode(tmp_path)
    assert account == DecodedFolder(left_out={"no image (text)": ["a.png"]})


def test_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 16)
    account, _ = _decode(tmp_path)
    assert account.left_out == {"of more than 178 million pixels": ["a.png"]}


def test_conversions_are_named(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 3
    Image.fromarray(COLOUR).save(tmp_path / "exif.png", exif=turned)
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "cmyk.tif")
    Image.fromarray(COLOUR).save(tmp_path / "pages.tif", save_all=True, append_images=[Image.fromarray(COLOUR[::-1])])
    frames = [Image.fromarray(frame).quantize() for frame in (COLOUR, COLOUR[::-1])]
    frames[0].save(tmp_path / "frames.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(np.dstack([COLOUR, np.full((8, 8), 9, np.uint8)])).save(tmp_path / "glass.png")
    Image.fromarray(np.dstack([COLOUR, np.full((8, 8), 255, np.uint8)])).save(tmp_path / "opaque.png")
    Image.fromarray(COLOUR).quantize().save(tmp_path / "palette.png")
    account, pixels = _decode(tmp_path)
    assert account.conversions == {
        "with several frames or pages, of which the first is used": ["frames.gif", "pages.tif"],
        "turned upright as their EXIF orientation says": ["exif.png"],
        "converted from CMYK to RGB": ["cmyk.tif"],
        "with transparent parts, which became white": ["glass.png"],
    }  # fmt: skip
    cmyk, exif, _, glass, opaque, pages, _ = pixels.transpose(0, 2, 3, 1).astype(int)
    assert np.array_equal(exif, COLOUR[::-1, ::-1])
    assert np.array_equal(pages, COLOUR)
    assert np.array_equal(opaque, COLOUR)
    assert np.abs(cmyk - COLOUR).max() <= 1
    assert np.abs(glass - (COLOUR * (9 / 255) + 255 * (1 - 9 / 255))).max() <= 1


@pytest.mark.parametrize(("bits", "highest"), [(8, 255), (10, 1023), (12, 4095), (14, 16383), (16, 65535)])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_deep_images_are_scaled_by_the_bits_that_the_largest_of_them_needs(
    tmp_path: Path, bits: int, highest: int, suffix: str
) -> None:
    values = np.random.default_rng(2).integers(0, highest // 2, (2, 8, 8), np.uint16)
    Image.fromarray(values[0]).save(tmp_path / f"a.{suffix}")
    (tmp_path / "b.png").write_text("text")
    values[1, 0, 0] = highest
    Image.fromarray(values[1]).save(tmp_path / f"c.{suffix}")
    account, pixels = _decode(tmp_path)
    assert account.bits == bits
    assert np.array_equal(pixels[:, 0], values * 255 // highest if bits == 8 else values >> (bits - 8))


def test_whole_numbers_of_32_bits_are_read_if_16_suffice(tmp_path: Path) -> None:
    values = np.random.default_rng(6).integers(0, 4096, (2, 8, 8), np.int32)
    values[0, 0, 0] = 4095
    Image.fromarray(values[0]).save(tmp_path / "a.tif")
    Image.fromarray(values[1] + 70_000).save(tmp_path / "b.tif")
    account, pixels = _decode(tmp_path)
    assert (account.bits, account.kept) == (12, [0])
    assert account.left_out == {"of 32 bits a pixel, to be converted to 8 or 16": ["b.tif"]}
    assert np.array_equal(pixels[0, 0], values[0] >> 4)


def test_the_bits_may_be_given(tmp_path: Path) -> None:
    values = np.array([[0, 1023, 1024, 4095]] * 4, np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    account, pixels = _decode(tmp_path, Decoding(None, None, bits=10))
    assert account.bits == 10
    assert pixels[0, 0, 0].tolist() == [0, 255, 255, 255]


def test_one_image_in_colour_among_grey_ones_is_named(tmp_path: Path) -> None:
    for number in range(4):
        Image.fromarray(GREY).save(tmp_path / f"{number}.png")
    Image.fromarray(COLOUR).save(tmp_path / "red.png")
    account, pixels = _decode(tmp_path)
    assert account.coloured == ["red.png"]
    assert np.array_equal(pixels[0], [GREY] * 3)
    assert np.array_equal(pixels[4].transpose(1, 2, 0), COLOUR)
    (tmp_path / "out.npy").unlink()
    account, pixels = _decode(tmp_path, Decoding(None, 1))
    assert account.coloured == []
    assert pixels.shape == (5, 1, 8, 8)


def test_sizes_that_differ_are_a_fault_and_leave_nothing_behind(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    Image.fromarray(GREY[:4]).save(tmp_path / "b.png")
    with pytest.raises(FaultyDataError, match=r"8×8 \(1, as a.png\), 8×4 \(1, as b.png\); fit them with image_size"):
        _decode(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_many_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.data.decoding.decoded_folder._CHUNK_BYTES", 64)
    for number in range(5):
        Image.fromarray(GREY + np.uint8(number)).save(tmp_path / f"{number}.png")
    _, pixels = _decode(tmp_path)
    assert np.array_equal(pixels[:, 0], [GREY + np.uint8(number) for number in range(5)])
    assert image_decoding.significant_bits(0) == 8
