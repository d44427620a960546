"""Decoding of the files of a folder: pixels of those that can be read, and the reasons why others cannot.

Array dimensions: N images, C channels, H rows, W columns. Pixels are collected in a file, so that the memory does not
grow with their number.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from nas.data.decoding.conversions import shape_conversions
from nas.data.decoding.file_kinds import file_kind
from nas.data.decoding.image_decoding import (
    DECODING_ERRORS,
    Decoding,
    Pixels,
    read_image,
    significant_bits,
    sizes_fault,
    to_pixels,
)
from nas.data.labelled_images import Progress
from nas.errors import FaultyDataError
from nas.results.printable_text import printable

DAMAGED = "damaged or cut off"
TOO_LARGE = "of more than 178 million pixels"
_CHUNK_BYTES = 1 << 26


@dataclass
class DecodedFolder:
    """Account of the decoded files.

    Attributes:
        kept: Indices of the decoded files, in ascending order.
        left_out: Printable names of the other files, by reason.
        conversions: Printable names of converted files, by conversion.
        bits: Significant bits of the images with 16 bits a channel; None without such images.
        coloured: Printable names of the images in colour, if all others are grey and the channels were left open.
        further: Number of frames or pages after the first, by printable name of the file.
        deep: Printable names of the images with 16 bits a channel.
        grey: Places in `kept` of the grey images, if others are in colour and the channels were left open.
    """

    kept: list[int] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    conversions: dict[str, list[str]] = field(default_factory=dict)
    bits: int | None = None
    coloured: list[str] = field(default_factory=list)
    further: dict[str, int] = field(default_factory=dict)
    deep: list[str] = field(default_factory=list)
    grey: list[int] = field(default_factory=list)


def decode_folder(
    root: Path, names: Sequence[str], decoding: Decoding, output: Path, progress: Progress | None = None
) -> DecodedFolder:
    """Decode files in their order, and write the pixels of those that can be read to a `.npy` file, uint8 [N, C, H, W].

    Args:
        root: Folder that the names are relative to.
        output: Path of the `.npy` file. If no file can be read it is not written.

    Raises:
        FaultyDataError: Images differ in size without an `image_size`.
        OSError: The pixels cannot be written.
    """
    account = DecodedFolder()
    by_size: dict[tuple[int, int], list[str]] = {}
    deep: dict[int, int] = {}
    with _CollectedPixels(output.with_name(output.name + ".pixels")) as collected:
        for number, name in enumerate(names):
            pixels = _decode(root, name, number, decoding, account, deep)
            if pixels is not None:
                sizes = by_size.setdefault((pixels.shape[1], pixels.shape[0]), [])
                sizes.append(printable(name))
                if len(by_size) == 1:
                    collected.append(pixels)
            if progress is not None:
                progress(_description(root, collected, len(names)), number + 1, len(names))
        if len(by_size) > 1:
            raise FaultyDataError(printable(str(root)), [sizes_fault(by_size)])
        if deep:
            account.deep = [printable(names[number]) for number in deep]
            account.bits = decoding.bits or significant_bits(max(deep.values()))
            if account.bits != (decoding.bits or 16):
                rescaled = replace(decoding, bits=account.bits)
                for place, number in enumerate(account.kept):
                    if number in deep:
                        pixels = to_pixels(read_image(root / names[number], account.bits).image, rescaled)
                        collected.replace(place, pixels)
        if account.kept:
            _note_colours(account, collected, names, decoding)
            collected.save(output, decoding.channels)
    return account


def _decode(
    root: Path, name: str, number: int, decoding: Decoding, account: DecodedFolder, deep: dict[int, int]
) -> Pixels | None:
    """Decode one file and enter it in the account; None if it cannot be read."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of damaged metadata, and of images beyond half of the size that it refuses.
            warnings.simplefilter("ignore")
            read = read_image(root / name, decoding.bits)
            pixels = to_pixels(read.image, decoding)
    except DECODING_ERRORS as error:
        account.left_out.setdefault(_reason(root / name, error), []).append(printable(name))
        return None
    of_shape = () if decoding.image_size is None else shape_conversions(read.image.size, decoding.image_size)
    for conversion in (*read.conversions, *of_shape):
        account.conversions.setdefault(conversion.value, []).append(printable(name))
    if read.maximum is not None:
        deep[number] = read.maximum
    if read.num_further:
        account.further[printable(name)] = read.num_further
    account.kept.append(number)
    return pixels


def _reason(path: Path, error: BaseException) -> str:
    """Return the reason for leaving out a file that Pillow cannot read, without numbers that differ by file."""
    if isinstance(error, Image.DecompressionBombError):
        return TOO_LARGE
    if isinstance(error, UnidentifiedImageError):
        return f"no image ({file_kind(path)})"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    return "of 32 bits a pixel, to be converted to 8 or 16" if "32 bits a pixel" in str(error) else DAMAGED


def _note_colours(
    account: DecodedFolder, collected: _CollectedPixels, names: Sequence[str], decoding: Decoding
) -> None:
    """Record the images in colour where most are grey, and the grey ones where others are in colour."""
    coloured = [place for place, channels in enumerate(collected.channels) if channels == 3]
    if decoding.channels is None and coloured:
        account.grey = [place for place, channels in enumerate(collected.channels) if channels == 1]
    if decoding.channels is None and 0 < 2 * len(coloured) < len(collected.channels):
        account.coloured = [printable(names[account.kept[place]]) for place in coloured]


def _description(root: Path, collected: _CollectedPixels, total: int) -> str:
    size = collected.largest_image * total / 1e9
    return f"decoding {printable(root.name)}" + (f" to {size:.1f} GB" if size >= 1 else "")


class _CollectedPixels(AbstractContextManager["_CollectedPixels"]):
    """Pixels of images of one size, grey or in colour, in a temporary file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("w+b")
        self.channels: list[int] = []
        self._starts: list[int] = []
        self._size = (0, 0)
        self.largest_image = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def append(self, pixels: Pixels) -> None:
        """Add an image [H, W] or [H, W, 3]."""
        self._size = pixels.shape[:2]
        self._starts.append(self._file.tell())
        self.channels.append(1 if pixels.ndim == 2 else 3)
        self.largest_image = max(self.largest_image, pixels.size)
        self._file.write(pixels.tobytes())

    def replace(self, place: int, pixels: Pixels) -> None:
        """Replace an image by another one of its size and channels."""
        self._file.seek(self._starts[place])
        self._file.write(pixels.tobytes())
        self._file.seek(0, 2)

    def save(self, output: Path, channels: int | None) -> None:
        """Write the images as an array [N, C, H, W] with C `channels`, by default 3 if any image is in colour."""
        num_channels = channels or max(self.channels)
        height, width = self._size
        shape = (len(self.channels), num_channels, height, width)
        array = np.lib.format.open_memmap(output, mode="w+", dtype=np.uint8, shape=shape)
        self._file.seek(0)
        for place, stored in enumerate(self.channels):
            pixels = np.frombuffer(self._file.read(stored * height * width), np.uint8)
            array[place] = pixels.reshape(height, width, stored).transpose(2, 0, 1)
            if place % max(1, _CHUNK_BYTES // pixels.size) == 0:
                array.flush()
        array.flush()
