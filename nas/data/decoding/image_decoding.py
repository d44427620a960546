"""Image files to pixels of one size and one number of channels, with Pillow.

Array dimensions: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from nas.data.labelled_images import Progress
from nas.errors import NUM_LISTED, FaultyDataError, shortened_list

Pixels = npt.NDArray[np.uint8]

DECODER_VERSION = 1
"""To be raised when the same file would give other pixels: caches of older versions are then ignored."""

# What Pillow's readers raise on bytes they did not expect.
DECODING_ERRORS = (
    ArithmeticError, EOFError, LookupError, OSError, SyntaxError, TypeError, ValueError,
    struct.error, Image.DecompressionBombError,
)  # fmt: skip


@dataclass(frozen=True)
class Decoding:
    """How files become pixels.

    Attributes:
        image_size: Side in pixels of the square each image is brought to; None: their own size, all alike.
        channels: 1 or 3; None: 1 where every image is grey, else 3.
    """

    image_size: int | None
    channels: int | None


def decode_images(root: Path, names: Sequence[str], decoding: Decoding, progress: Progress | None = None) -> Pixels:
    """Decode files in their order.

    Args:
        root: The folder the names are relative to.
        names: At least one.

    Returns:
        uint8 [N, C, H, W].

    Raises:
        FaultyDataError: Files are corrupt, or have different sizes while no `image_size` is given.
    """
    images: list[Pixels] = []
    corrupt: list[str] = []
    by_size: dict[tuple[int, int], list[str]] = {}
    for number, name in enumerate(names, start=1):
        try:
            pixels = decode_image(root / name, decoding)
        except DECODING_ERRORS as error:
            corrupt.append(f"{name} ({decoding_fault(error)})")
        else:
            images.append(pixels)
            by_size.setdefault((pixels.shape[1], pixels.shape[0]), []).append(name)
        if progress is not None:
            progress(f"decoding {root.name}", number, len(names))
    faults = [f"cannot be decoded; repair or remove: {shortened_list(corrupt)}"] if corrupt else []
    if len(by_size) > 1:
        faults.append(_sizes_fault(by_size))
    if faults:
        raise FaultyDataError(str(root), faults)
    return stack_images(images, decoding.channels)


def decode_image(path: Path, decoding: Decoding) -> Pixels:
    """One file, as it is to be given to a network.

    Returns:
        uint8 [H, W] where the image is grey or is to become grey, else [H, W, 3].

    Raises:
        OSError, ValueError and others: The file cannot be decoded; Pillow's readers differ in what they raise.
    """
    return to_pixels(read_image(path), decoding)


def read_image(path: Path) -> Image.Image:
    """One file, upright as its EXIF orientation says, transparent parts on white as viewers show them.

    Returns:
        Of mode L where the image is grey, however it is stored, else RGB; raises as `decode_image` does.
    """
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
    image = _to_8_bits(image)
    if image.has_transparency_data:
        canvas = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(canvas, image.convert("RGBA"))
    if image.mode != "L":
        image = image.convert("RGB")
        if _is_grey(image):
            image = image.convert("L")
    return image


def to_pixels(image: Image.Image, decoding: Decoding) -> Pixels:
    """An image of mode L or RGB with the channels and of the size that are wanted: [H, W] or [H, W, 3]."""
    if decoding.channels == 1:
        image = image.convert("L")
    if decoding.image_size is not None:
        image = _resize_and_pad(image, decoding.image_size)
    return np.asarray(image)


def shrink_pixels(pixels_HW: Pixels, factor: int) -> Pixels:
    """The mean of each square of `factor` x `factor` pixels, rounded: [..., H, W] to [..., H / factor, W / factor].

    Raises:
        ValueError: The factor does not divide both sides.
    """
    *others, height, width = pixels_HW.shape
    squares = pixels_HW.reshape(*others, height // factor, factor, width // factor, factor)
    shrunk: Pixels = np.rint(squares.mean(axis=(-3, -1), dtype=np.float32)).astype(np.uint8)
    return shrunk


def _to_8_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips at 255 instead of scaling.
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError("32 bits a pixel; convert it to 8")
    return image.convert("L") if image.mode == "1" else image


def _is_grey(image: Image.Image) -> bool:
    """Whether the three channels agree: many grey images are stored as colour."""
    pixels = np.asarray(image)
    return bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all())


def _resize_and_pad(image: Image.Image, side: int) -> Image.Image:
    """Bring an image into a square, padded with the mean colour of its border.

    Padded rather than cropped: a crop can cut off the very part that tells two classes apart. In the
    border's colour rather than black: the padding then draws no edge that the network could learn.
    """
    scale = side / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    # Pillow's bilinear filter widens when shrinking, so nothing aliases; unlike bicubic it never overshoots.
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    if width == height:
        return resized
    # Of the image itself: in the smaller one, what lies inside has already bled into the border.
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    border = np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])
    colour = tuple(round(value) for value in border.mean(axis=0).tolist())
    square = Image.new(image.mode, (side, side), colour if len(colour) > 1 else colour[0])
    square.paste(resized, ((side - width) // 2, (side - height) // 2))
    return square


def stack_images(images: Sequence[Pixels], channels: int | None) -> Pixels:
    """With that many channels; None: grey where all images are, else colour: [N, C, H, W]."""
    num_channels = channels or max(3 if image.ndim == 3 else 1 for image in images)
    height, width = images[0].shape[:2]
    stacked = np.empty((len(images), num_channels, height, width), dtype=np.uint8)
    for number, image in enumerate(images):
        stacked[number] = image if image.ndim == 2 else image.transpose(2, 0, 1)
    return stacked


def _sizes_fault(by_size: dict[tuple[int, int], list[str]]) -> str:
    most_first = sorted(by_size.items(), key=lambda item: -len(item[1]))
    shown = [f"{w}×{h} ({len(names)}, as {names[0]})" for (w, h), names in most_first[:NUM_LISTED]]
    return f"images of different sizes: {shortened_list(shown, len(by_size))}; fit them with image_size"


def decoding_fault(error: BaseException) -> str:
    """Why a file could not be decoded, in a few words."""
    # Pillow repeats the whole path in this one; the file is named already.
    text = str(error)
    return "no image" if text.startswith("cannot identify image file") else text or type(error).__name__
