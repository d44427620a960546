"""PNG data URIs of images, filters and activation maps at native resolution, scaled up by the page.

Dimensions: C channels, H and W pixels, M filters or maps, A × B filter size, P images: 2 for a pair, else 1.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image

from nas.results.network_analysis import Floats, Pixels

ImageArray = TypeVar("ImageArray", Floats, Pixels)

_SIDE = 56
"""Approximate height of an image on the page, in CSS pixels."""
_GAP = 1 / 14
"""Gap between the images of a pair, as a share of their height."""

# Okabe & Ito's vermillion and blue around a grey that is visible on light and dark backgrounds.
_NEGATIVE, _MIDDLE, _POSITIVE = (213, 94, 0), (235, 235, 235), (0, 114, 178)
# Five stops of matplotlib's viridis, dark to light.
_VIRIDIS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))


@dataclass(frozen=True)
class Picture:
    """PNG image and its display size.

    Attributes:
        uri: `data:image/png;base64,…`.
        width: CSS pixels.
        height: CSS pixels.
        alt: Description of the content.
    """

    uri: str
    width: int
    height: int
    alt: str


def image_picture(image_CHW: Pixels, alt: str, side: int = _SIDE) -> Picture:
    """Encode an image of one or three channels, or a pair side by side; enlarge by an integer factor.

    Args:
        side: Approximate height on the page, in CSS pixels.
    """
    images = _split_pair(image_CHW)
    if len(images) == 1:
        return _encode_png(_as_rgb(image_CHW), alt, side)
    tiles = np.stack([_as_rgb(image) for image in images])
    return _encode_png(_tile(tiles, len(images), gap=max(1, round(_GAP * tiles.shape[1]))), alt, side)


def filter_sheet(filters_MCAB: Floats, alt: str, most: int = 64) -> Picture:
    """Encode the first filters of a layer as tiles, each on its own scale.

    Filters of one channel are blue for positive weights, red for negative ones and pale for zero. Filters of three
    channels are RGB colours with grey for zero. A filter of a pair has two halves, the first image's on the left.

    Args:
        most: Maximum number of filters.
    """
    filters_MPCAB = np.stack([_split_pair(filter_CAB) for filter_CAB in filters_MCAB[:most]])
    largest = np.abs(filters_MPCAB).max(axis=(1, 2, 3, 4), keepdims=True)
    scaled = filters_MPCAB / np.where(largest > 0, largest, 1.0)
    if scaled.shape[2] == 3:
        halves = np.moveaxis(np.round(127.5 + 127.5 * scaled).astype(np.uint8), 2, -1)
    else:
        halves = _gradient((scaled[:, :, 0] / 2 + 0.5).astype(np.float32), (_NEGATIVE, _MIDDLE, _POSITIVE))
    tiles = np.concatenate(np.moveaxis(halves, 1, 0), axis=2)
    columns = min(len(tiles), (16 if len(tiles) > 32 else 8) // halves.shape[1])
    return _encode_png(_tile(tiles, columns), alt, side=24 * -(-len(tiles) // columns))


def map_sheet(maps_PMHW: Floats, alt: str, side: int = _SIDE) -> Picture:
    """Encode activation maps as a row of tiles, dark to light, each on its own scale.

    The maps of a pair's second image are a second row, on the scales of the first row.
    """
    low = maps_PMHW.min(axis=(0, 2, 3), keepdims=True)
    spread = maps_PMHW.max(axis=(0, 2, 3), keepdims=True) - low
    scaled = (maps_PMHW - low) / np.where(spread > 0, spread, 1.0)
    rows, columns = scaled.shape[:2]
    return _encode_png(_tile(_gradient(scaled.reshape(-1, *scaled.shape[2:]), _VIRIDIS), columns), alt, side * rows)


def _split_pair(stacked: ImageArray) -> ImageArray:
    """Reshape [P·C, ...] to [P, C, ...]: images have one or three channels, pairs two or six."""
    return stacked.reshape(-1, 3 if len(stacked) % 3 == 0 else 1, *stacked.shape[1:])


def _as_rgb(image_CHW: Pixels) -> Pixels:
    three = np.repeat(image_CHW, 3, axis=0) if len(image_CHW) == 1 else image_CHW
    return np.ascontiguousarray(np.moveaxis(three, 0, -1))


def _gradient(values: Floats, stops: tuple[tuple[int, int, int], ...]) -> Pixels:
    """Map values in [0, 1] of any shape to colours [..., 3], interpolated between equidistant stops."""
    places = np.linspace(0, 1, len(stops))
    channels = [np.interp(values, places, [stop[channel] for stop in stops]) for channel in range(3)]
    pixels: Pixels = np.stack(channels, axis=-1).round().astype(np.uint8)
    return pixels


def _tile(tiles_MHWC: Pixels, columns: int, gap: int = 1) -> Pixels:
    """Arrange tiles in rows with transparent gaps: [height, width, 4]."""
    number, height, width, _ = tiles_MHWC.shape
    rows = -(-number // columns)
    sheet = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 4), np.uint8)
    for place, tile in enumerate(tiles_MHWC):
        top, left = place // columns * (height + gap), place % columns * (width + gap)
        sheet[top : top + height, left : left + width, :3] = tile
        sheet[top : top + height, left : left + width, 3] = 255
    return sheet


def _encode_png(pixels: Pixels, alt: str, side: int) -> Picture:
    height, width = pixels.shape[:2]
    # The page repeats pixels and so needs integer factors; larger images are scaled down here.
    factor = max(1, round(side / height))
    image = Image.fromarray(pixels)
    if height > 2 * side:
        width, height = round(width * side / height), side
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    uri = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return Picture(uri, width * factor, height * factor, alt)
