"""Colour images with 16 bits a channel, written here byte by byte, since Pillow cannot write them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from nas.data.decoding.decoded_folder import DecodedFolder, decode_folder
from nas.data.decoding.image_decoding import Decoding, Pixels


def _decode(root: Path, decoding: Decoding | None = None) -> tuple[DecodedFolder, Pixels]:
    names = sorted(path.name for path in root.iterdir())
    account = decode_folder(root, names, decoding or Decoding(None, None), root / "out.npy")
    return account, np.load(root / "out.npy")


def write_deep_colour(path: Path, samples_HWC: np.ndarray, orientation: int = 1) -> None:
    """Write a PNG or TIFF of uint16 RGB or RGBA."""
    if path.suffix == ".png":
        path.write_bytes(_png(samples_HWC))
    else:
        order = ">" if "big-endian" in path.name else "<"
        path.write_bytes(_tiff(samples_HWC, order, orientation, is_deflated="deflated" in path.name))


def _png(samples_HWC: np.ndarray) -> bytes:
    height, width, channels = samples_HWC.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples_HWC)
    header = struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def _tiff(samples_HWC: np.ndarray, order: str, orientation: int, *, is_deflated: bool) -> bytes:
    height, width, channels = samples_HWC.shape
    content = samples_HWC.astype(order + "u2").tobytes()
    content = zlib.compress(content) if is_deflated else content
    tags = [(256, width), (257, height), (258, None), (259, 8 if is_deflated else 1), (262, 2), (273, None),
            (274, orientation), (277, channels), (278, height), (279, len(content)), (284, 1)]  # fmt: skip
    tags += [(338, 2)] if channels == 4 else []
    bits_at = 8 + 2 + 12 * len(tags) + 4
    places = {258: bits_at, 273: bits_at + 2 * channels}
    entries = b"".join(
        struct.pack(order + "HHII", tag, 4, 1, value) if tag != 258 and value is not None
        else struct.pack(order + "HHII", tag, 3 if tag == 258 else 4, channels if tag == 258 else 1, places[tag])
        for tag, value in tags
    )  # fmt: skip
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    return start + entries + bytes(4) + struct.pack(f"{order}{channels}H", *[16] * channels) + content


@pytest.mark.parametrize("form", ["png", "tif", "deflated.tif", "big-endian.tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_deep_colour_is_scaled_by_its_range(tmp_path: Path, form: str, channels: int) -> None:
    values = np.random.default_rng(4).integers(0, 4096, (2, 8, 6, channels), np.uint16)
    values[..., 3:] = 4095  # Opaque.
    values[1] //= 2
    values[1, :, :, :3] = 2000
    values[1, 0, 0, 2] = 2001  # Equal to grey at 8 bits, but in colour.
    values[1, ..., 3:] = 4095
    for name, image in zip("ab", values, strict=True):
        write_deep_colour(tmp_path / f"{name}.{form}", image)
    account, pixels = _decode(tmp_path)
    assert (account.bits, account.conversions) == (12, {})
    assert np.array_equal(pixels.transpose(0, 2, 3, 1), values[..., :3] >> 4)
    (tmp_path / "out.npy").unlink()
    account, pixels = _decode(tmp_path, Decoding(None, None, bits=16))
    assert np.array_equal(pixels.transpose(0, 2, 3, 1), values[..., :3] >> 8)


def test_deep_colour_is_turned_upright_and_laid_on_white(tmp_path: Path) -> None:
    values = np.random.default_rng(5).integers(0, 65536, (8, 6, 4), np.uint16)
    values[..., 3] = np.where(np.arange(8)[:, None] < 4, 65535, 0)
    write_deep_colour(tmp_path / "a.tif", values, orientation=3)
    account, pixels = _decode(tmp_path)
    assert account.bits == 16
    assert sorted(account.conversions) == [
        "turned upright as their EXIF orientation says", "with transparent parts, which became white",
    ]  # fmt: skip
    expected = np.where(values[..., 3:] > 0, values[..., :3] >> 8, 255)[::-1, ::-1]
    assert np.array_equal(pixels[0].transpose(1, 2, 0), expected)
