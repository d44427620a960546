"""Colour images with 16 bits a channel, of which Pillow keeps the upper 8.

Pillow has no such mode; its unpackers take one byte of each pair by the byte order that a file's header names. With the
order exchanged they take the other.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

Samples = npt.NDArray[np.uint16]

_RAW_MODE = re.compile(r"(RGB|RGBA);16([BLN])")
_EXCHANGED = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


def has_deep_colour(opened: Image.Image) -> bool:
    """Return True if both bytes of an image with 16 bits a channel can be read."""
    tiles = getattr(opened, "tile", ())
    return bool(tiles) and all(_RAW_MODE.fullmatch(_raw_mode(tile.args)) is not None for tile in tiles)


def deep_samples(path: Path, upper: Image.Image) -> Samples:
    """Return the samples of an image with deep colour, uint16 [H, W, C].

    Args:
        upper: The upper bytes: the opened image, loaded and turned by its EXIF orientation.
    """
    with Image.open(path) as opened:
        opened.tile = [tile._replace(args=_exchanged(tile.args)) for tile in opened.tile]
        lower = ImageOps.exif_transpose(opened)
    samples: Samples = np.asarray(upper).astype(np.uint16) << 8 | np.asarray(lower)
    return samples


def _raw_mode(args: object) -> str:
    return str(args[0] if isinstance(args, tuple) and args else args)


def _exchanged(args: object) -> object:
    mode = _raw_mode(args)
    other = mode[:-1] + _EXCHANGED[mode[-1]]
    return (other, *args[1:]) if isinstance(args, tuple) else other
