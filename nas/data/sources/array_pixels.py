"""Pixels of arrays: type, range and order of axes, converted to uint8 [N, C, H, W]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from nas.data.decoding.image_decoding import Pixels, significant_bits
from nas.data.sources.array_files import Array

_CHUNK_IMAGES = 4096
_CHANNELS = (1, 3, 4)
_DARK = 64
"""Pixels of images that are all below are likely those of a smaller range."""


@dataclass
class ConvertedPixels:
    """Converted arrays by name, sentences on how they were read, and faults."""

    images: dict[str, Pixels] = field(default_factory=dict)
    readings: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def convert_pixels(arrays: Mapping[str, Array]) -> ConvertedPixels:
    """Convert arrays of images, all with the range and the order of axes of a data set."""
    converted = ConvertedPixels()
    shaped = {name: shaped for name, array in arrays.items() if (shaped := _shaped(name, array, converted)) is not None}
    if not shaped or len(shaped) < len(arrays):
        return converted
    scale = _Scale.of(shaped, converted)
    if scale is None:
        return converted
    if scale.reading:
        converted.readings.append(scale.reading)
    has_alpha = any(array.shape[1] == 4 for array in shaped.values())
    if has_alpha:
        converted.readings.append("the fourth channel is opacity; transparent parts became white")
    for name, array in shaped.items():
        pixels = scale.apply(array)
        converted.images[name] = _on_white(pixels) if pixels.shape[1] == 4 else pixels
    return converted


def _shaped(name: str, array: Array, converted: ConvertedPixels) -> Array | None:
    """Return an array of images as [N, C, H, W]; None with a fault recorded."""
    expected = "give [N, H, W], [N, H, W, C] or [N, C, H, W] with C 1 or 3"
    shape = list(array.shape)
    match shape:
        case _ if array.size == 0:
            converted.faults.append(f"{name}: shape {shape}; {expected}")
        case [_, h, w]:
            return array.reshape(-1, 1, h, w)
        case [_, c, _, w] if (c in _CHANNELS) != (w in _CHANNELS):
            is_first = c in _CHANNELS
            order = "channels, rows, columns" if is_first else "rows, columns, channels"
            converted.readings.append(f"{name} {shape}: images, {order}")
            return array if is_first else array.transpose(0, 3, 1, 2)
        case [n, c, h, w] if c in _CHANNELS and w in _CHANNELS:
            converted.faults.append(
                f"{name}: shape {shape}; two readings: {n:,} images of {c} channels, {h} rows and {w} columns, or "
                f"of {c} rows, {h} columns and {w} channels; make them wider, or pad them, so that one reading is left"
            )
        case [_, _]:
            converted.faults.append(f"{name}: shape {shape}; flat images have no rows: reshape them to [N, H, W]")
        case [_, _, _, _, _]:
            converted.faults.append(f"{name}: shape {shape}; videos and volumes are not for this program; {expected}")
        case _:
            converted.faults.append(f"{name}: shape {shape}; {expected}")
    return None


@dataclass(frozen=True)
class _Scale:
    """Scaling of pixels to 0–255: a factor for fractions, a shift for deep integers."""

    factor: float = 1.0
    shift: int = 0
    reading: str = ""

    @classmethod
    def of(cls, arrays: Mapping[str, Array], converted: ConvertedPixels) -> _Scale | None:
        """Find the range of all arrays together; None with a fault recorded."""
        if all(array.dtype == np.uint8 for array in arrays.values()):
            maximum = max(int(array.max()) for array in arrays.values())
            return cls(reading=f"pixels up to {maximum} of 255 are taken as they are" if maximum < _DARK else "")
        odd = [f"{name}: type {array.dtype}" for name, array in arrays.items() if array.dtype.kind not in "uifb"]
        if odd:
            converted.faults += [f"{fault}; give pixels 0-255 as uint8" for fault in odd]
            return None
        lowest = min(float(array.min()) for array in arrays.values())
        highest = max(float(array.max()) for array in arrays.values())
        fractions = [name for name, array in arrays.items() if array.dtype.kind in "fb" and array.max() <= 1]
        if 0 < len(fractions) < len(arrays):
            whole = [name for name in arrays if name not in fractions]
            converted.faults.append(
                f"{' and '.join(fractions)} from 0 to 1, but {' and '.join(whole)} up to {highest:g}; give all in one "
                "range"
            )
            return None
        dtype, names = next(iter(arrays.values())).dtype, " and ".join(arrays)
        if not np.isfinite([lowest, highest]).all() or lowest < 0:
            converted.faults.append(
                f"{names}: type {dtype}, values {lowest:g} to {highest:g}; give pixels 0-255 as uint8, or 0-1"
            )
            return None
        if dtype.kind in "fb" and highest <= 1:
            return cls(255.0, 0, f"pixels of type {dtype} from 0 to 1 are scaled to 0-255")
        if highest <= 255:
            return cls(1.0, 0, f"pixels of type {dtype} from {lowest:g} to {highest:g} are taken for 0-255, rounded")
        if highest < 1 << 16:
            bits = significant_bits(int(highest))
            return cls(1.0, bits - 8, f"pixels of type {dtype} hold {bits} bits (up to {highest:g}), scaled to 8")
        converted.faults.append(f"{names}: type {dtype}, values up to {highest:g}; give pixels 0-255 as uint8")
        return None

    def apply(self, array_NCHW: Array) -> Pixels:
        if array_NCHW.dtype == np.uint8 and self.factor == 1.0 and not self.shift:
            return np.ascontiguousarray(array_NCHW)
        pixels = np.empty(array_NCHW.shape, np.uint8)
        for start in range(0, len(array_NCHW), _CHUNK_IMAGES):
            piece = array_NCHW[start : start + _CHUNK_IMAGES].astype(np.float32) * self.factor
            pixels[start : start + len(piece)] = np.clip(np.floor(piece / (1 << self.shift)) if self.shift else
                                                         np.rint(piece), 0, 255)  # fmt: skip
        return pixels


def _on_white(pixels_N4HW: Pixels) -> Pixels:
    opacity = pixels_N4HW[:, 3:].astype(np.float32) / 255
    blended: Pixels = np.rint(pixels_N4HW[:, :3] * opacity + 255 * (1 - opacity)).astype(np.uint8)
    return blended
