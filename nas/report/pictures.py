"""Small pictures as data URIs: images, filters and maps, each pixel as it is, for the page to enlarge.

Dimensions: N images, C channels, H and W pixels, M filters or maps.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from nas.evidence import Floats, Pixels

_SIDE = 56
"""Pixels of the screen that a picture of one image is about as high as."""

# Okabe & Ito's blue and vermillion around a middle that is seen on both grounds.
_NEGATIVE, _MIDDLE, _POSITIVE = (213, 94, 0), (235, 235, 235), (0, 114, 178)
# Five stops of matplotlib's viridis, dark to light.
_VIRIDIS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))


@dataclass(frozen=True)
class Picture:
    """A PNG and the size at which it is shown.

    Attributes:
        uri: `data:image/png;base64,…`.
        width: In pixels of the screen.
        height: Likewise.
        alt: What is in it.
    """

    uri: str
    width: int
    height: int
    alt: str


def image_picture(image_CHW: Pixels, alt: str, side: int = _SIDE) -> Picture:
    """An image of one or three channels; small ones are enlarged by a whole factor."""
    return _picture(_as_rgb(image_CHW), alt, side)


def filter_sheet(filters_MCHW: Floats, alt: str, most: int = 64) -> Picture:
    """The first filters of a layer side by side, each on a scale of its own.

    Of one channel, positive weights are blue, negative ones red and zero is pale; of three they are colours, zero grey.
    Of any other number the mean over the channels is drawn.
    """
    filters = filters_MCHW[:most]
    if filters.shape[1] != 3:
        filters = filters.mean(axis=1, keepdims=True)
    largest = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    scaled = filters / np.where(largest > 0, largest, 1.0)
    if scaled.shape[1] == 3:
        tiles = np.moveaxis(np.round(127.5 + 127.5 * scaled).astype(np.uint8), 1, -1)
    else:
        tiles = _gradient((scaled[:, 0] / 2 + 0.5).astype(np.float32), (_NEGATIVE, _MIDDLE, _POSITIVE))
    columns = min(len(tiles), 16 if len(tiles) > 32 else 8)
    return _picture(_sheet(tiles, columns), alt, side=24 * -(-len(tiles) // columns))


def map_sheet(maps_MHW: Floats, alt: str, side: int = _SIDE) -> Picture:
    """Maps in a row, dark to light, each on a scale of its own."""
    low = maps_MHW.min(axis=(1, 2), keepdims=True)
    spread = maps_MHW.max(axis=(1, 2), keepdims=True) - low
    scaled = (maps_MHW - low) / np.where(spread > 0, spread, 1.0)
    return _picture(_sheet(_gradient(scaled, _VIRIDIS), len(scaled)), alt, side)


def _as_rgb(image_CHW: Pixels) -> Pixels:
    three = np.repeat(image_CHW, 3, axis=0) if len(image_CHW) == 1 else image_CHW
    return np.ascontiguousarray(np.moveaxis(three, 0, -1))


def _gradient(shares: Floats, stops: tuple[tuple[int, int, int], ...]) -> Pixels:
    """Shares in [0, 1] of any shape to colours [..., 3]."""
    places = np.linspace(0, 1, len(stops))
    channels = [np.interp(shares, places, [stop[channel] for stop in stops]) for channel in range(3)]
    pixels: Pixels = np.stack(channels, axis=-1).round().astype(np.uint8)
    return pixels


def _sheet(tiles_MHWC: Pixels, columns: int) -> Pixels:
    """Tiles in rows, a clear pixel between them: [rows, width, 4]."""
    number, height, width, _ = tiles_MHWC.shape
    rows = -(-number // columns)
    sheet = np.zeros((rows * (height + 1) - 1, columns * (width + 1) - 1, 4), np.uint8)
    for place, tile in enumerate(tiles_MHWC):
        top, left = place // columns * (height + 1), place % columns * (width + 1)
        sheet[top : top + height, left : left + width, :3] = tile
        sheet[top : top + height, left : left + width, 3] = 255
    return sheet


def _picture(pixels: Pixels, alt: str, side: int) -> Picture:
    height, width = pixels.shape[:2]
    # Whole factors, for the page enlarges pixel by pixel; what is larger than its place is made smaller here.
    factor = max(1, round(side / height))
    image = Image.fromarray(pixels)
    if height > 2 * side:
        width, height = round(width * side / height), side
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    uri = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return Picture(uri, width * factor, height * factor, alt)
