"""Small pictures as data URIs: images, filters and maps, each pixel as it is, for the page to enlarge.

Dimensions: C channels, H and W pixels, M filters or maps, A × B a filter's size, P images of a pair, or one.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image

from nas.results.network_analysis import Floats, Pixels

Picturable = TypeVar("Picturable", Floats, Pixels)

_SIDE = 56
"""Pixels of the screen that a picture of one image is about as high as."""
_GAP = 1 / 14
"""Between the two images of a pair, of their height."""

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
    """An image of one or three channels, or two of them side by side; small ones are enlarged by a whole factor."""
    images = _each(image_CHW)
    if len(images) == 1:
        return _picture(_as_rgb(image_CHW), alt, side)
    tiles = np.stack([_as_rgb(image) for image in images])
    return _picture(_sheet(tiles, len(images), gap=max(1, round(_GAP * tiles.shape[1]))), alt, side)


def filter_sheet(filters_MCAB: Floats, alt: str, most: int = 64) -> Picture:
    """The first filters of a layer side by side, each on a scale of its own.

    Of one channel, positive weights are blue, negative ones red and zero is pale; of three they are colours, zero grey.
    Of two images' channels there are two such halves, the first image's on the left.
    """
    filters_MPCAB = np.stack([_each(one) for one in filters_MCAB[:most]])
    largest = np.abs(filters_MPCAB).max(axis=(1, 2, 3, 4), keepdims=True)
    scaled = filters_MPCAB / np.where(largest > 0, largest, 1.0)
    if scaled.shape[2] == 3:
        halves = np.moveaxis(np.round(127.5 + 127.5 * scaled).astype(np.uint8), 2, -1)
    else:
        halves = _gradient((scaled[:, :, 0] / 2 + 0.5).astype(np.float32), (_NEGATIVE, _MIDDLE, _POSITIVE))
    tiles = np.concatenate(np.moveaxis(halves, 1, 0), axis=2)
    columns = min(len(tiles), (16 if len(tiles) > 32 else 8) // halves.shape[1])
    return _picture(_sheet(tiles, columns), alt, side=24 * -(-len(tiles) // columns))


def map_sheet(maps_PMHW: Floats, alt: str, side: int = _SIDE) -> Picture:
    """Maps in a row, dark to light, each on a scale of its own; the second image's below the first's, on the same."""
    low = maps_PMHW.min(axis=(0, 2, 3), keepdims=True)
    spread = maps_PMHW.max(axis=(0, 2, 3), keepdims=True) - low
    scaled = (maps_PMHW - low) / np.where(spread > 0, spread, 1.0)
    rows, columns = scaled.shape[:2]
    return _picture(_sheet(_gradient(scaled.reshape(-1, *scaled.shape[2:]), _VIRIDIS), columns), alt, side * rows)


def _each(stacked: Picturable) -> Picturable:
    """[P·C, ...] as [P, C, ...]: images have one channel or three, and pairs of them two or six."""
    return stacked.reshape(-1, 3 if len(stacked) % 3 == 0 else 1, *stacked.shape[1:])


def _as_rgb(image_CHW: Pixels) -> Pixels:
    three = np.repeat(image_CHW, 3, axis=0) if len(image_CHW) == 1 else image_CHW
    return np.ascontiguousarray(np.moveaxis(three, 0, -1))


def _gradient(shares: Floats, stops: tuple[tuple[int, int, int], ...]) -> Pixels:
    """Shares in [0, 1] of any shape to colours [..., 3]."""
    places = np.linspace(0, 1, len(stops))
    channels = [np.interp(shares, places, [stop[channel] for stop in stops]) for channel in range(3)]
    pixels: Pixels = np.stack(channels, axis=-1).round().astype(np.uint8)
    return pixels


def _sheet(tiles_MHWC: Pixels, columns: int, gap: int = 1) -> Pixels:
    """Tiles in rows, clear pixels between them: [rows, width, 4]."""
    number, height, width, _ = tiles_MHWC.shape
    rows = -(-number // columns)
    sheet = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 4), np.uint8)
    for place, tile in enumerate(tiles_MHWC):
        top, left = place // columns * (height + gap), place % columns * (width + gap)
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
