"""Conversions of image files on the way to their pixels that the user should know of."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from PIL import Image

from nas.data.decoding.deep_colour import has_deep_colour

_MAX_ASPECT_RATIO, _MAX_ENLARGEMENT = 8, 4
_ORIENTATION = 0x0112
"""EXIF tag of the orientation."""


class Conversion(str, Enum):
    """Conversion of an image on the way to its pixels that the user should know of, as a phrase after a number."""

    FIRST_FRAME = "with several frames or pages, of which the first is used"
    ROTATED = "turned upright as their EXIF orientation says"
    ON_WHITE = "with transparent parts, which became white"
    CMYK = "converted from CMYK to RGB"
    UPPER_BYTES = "of 16 bits a channel, of which the upper 8 are used"
    STRIP = "more than 8 times as long as wide, or as wide as long, so that a narrow strip is left of them"
    ENLARGED = "enlarged more than 4 times"


def header_conversions(opened: Image.Image) -> Iterator[Conversion]:
    """Yield the conversions that follow from a file's header."""
    is_16_bit = any("16" in str(part[-1]) for part in getattr(opened, "tile", ()))
    if opened.mode in ("RGB", "RGBA", "LA") and is_16_bit and not has_deep_colour(opened):
        yield Conversion.UPPER_BYTES
    if num_further_frames(opened):
        yield Conversion.FIRST_FRAME
    if opened.getexif().get(_ORIENTATION, 1) in range(2, 9):
        yield Conversion.ROTATED
    if opened.mode == "CMYK":
        yield Conversion.CMYK


def num_further_frames(opened: Image.Image) -> int:
    """Return the number of frames or pages after the first; 0 for a photo with previews, as cameras add them."""
    if opened.format == "MPO" or not getattr(opened, "is_animated", False):
        return 0
    return int(getattr(opened, "n_frames", 1)) - 1


def shape_conversions(size: tuple[int, int], side: int) -> Iterator[Conversion]:
    """Yield the conversions that follow from an image's size and the side of the square that it is fitted into."""
    longer, shorter = max(size), min(size)
    if longer > _MAX_ASPECT_RATIO * shorter:
        yield Conversion.STRIP
    if side > _MAX_ENLARGEMENT * longer:
        yield Conversion.ENLARGED
