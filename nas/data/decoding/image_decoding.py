"""Decoding of image files to pixel arrays of one size and number of channels, with Pillow.

Array dimensions: N images, C channels, H rows, W columns.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from nas.data.decoding.conversions import Conversion, header_conversions, num_further_frames
from nas.data.decoding.deep_colour import Samples, deep_samples, has_deep_colour
from nas.data.labelled_images import Progress
from nas.errors import NUM_LISTED, FaultyDataError, shortened_list

Pixels = npt.NDArray[np.uint8]

DECODER_VERSION = 4
"""Increment when the same file decodes to other pixels or notes; caches of older versions are then ignored."""

# Exceptions of Pillow's readers on unexpected bytes.
DECODING_ERRORS = (
    ArithmeticError, EOFError, LookupError, OSError, SyntaxError, TypeError, ValueError,
    struct.error, Image.DecompressionBombError,
)  # fmt: skip


READ_FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "TIFF",
    "BMP",
    "DIB",
    "GIF",
    "AVIF",
    "JPEG2000",
    "PPM",
    "PCX",
    "TGA",
    "ICO",
)
"""Formats of Pillow that are opened. Others, such as EPS, are programs for an interpreter that Pillow would start."""


@dataclass(frozen=True)
class Decoding:
    """Size and number of channels of decoded images.

    Attributes:
        image_size: Side in pixels of the square that images are resized and padded to; None keeps their size, which
            must be the same for all.
        channels: 1 or 3; None means 1 if every image is grey, else 3.
        bits: Significant bits of images with 16 bits a channel, such as 12; None means 16.
    """

    image_size: int | None
    channels: int | None
    bits: int | None = None


@dataclass(frozen=True)
class ReadImage:
    """An image of mode L or RGB.

    Attributes:
        conversions: Those that were needed.
        maximum: Largest value of an image with 16 bits a channel, before scaling; else None.
        num_further: Frames or pages of the file after the first.
    """

    image: Image.Image
    conversions: tuple[Conversion, ...] = ()
    maximum: int | None = None
    num_further: int = 0


def decode_images(root: Path, names: Sequence[str], decoding: Decoding, progress: Progress | None = None) -> Pixels:
    """Decode files in their order.

    Args:
        root: Folder that the names are relative to.
        names: At least one.

    Returns:
        uint8 [N, C, H, W].

    Raises:
        FaultyDataError: Files are corrupt, or differ in size without an `image_size`.
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
        faults.append(sizes_fault(by_size))
    if faults:
        raise FaultyDataError(str(root), faults)
    return stack_images(images, decoding.channels)


def decode_image(path: Path, decoding: Decoding) -> Pixels:
    """Decode one file to the pixels of a network input.

    Returns:
        uint8 [H, W] if the image is grey or converted to grey, else [H, W, 3].

    Raises:
        OSError, ValueError and others: The file cannot be decoded; the exception depends on Pillow's reader.
    """
    return to_pixels(read_image(path, decoding.bits).image, decoding)


def read_image(path: Path, bits: int | None = None) -> ReadImage:
    """Read one file; apply its EXIF orientation, and composite transparency onto white, as image viewers do.

    Args:
        bits: As in `Decoding`.

    Returns:
        An image of mode L if all pixels are grey, in any storage format, else RGB. Errors: `decode_image`.
    """
    with Image.open(path, formats=READ_FORMATS) as opened:
        # First, since reading the EXIF data of a PNG drops its tiles.
        is_deep = has_deep_colour(opened)
        num_further = num_further_frames(opened)
        conversions = list(header_conversions(opened))
        image = ImageOps.exif_transpose(opened)
    samples = deep_samples(path, image) if is_deep else _grey_samples(image)
    maximum = None
    if samples is not None:
        image, maximum = _to_8_bits(samples, bits or 16)
    elif image.mode == "1":
        image = image.convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if np.asarray(image.getchannel("A")).min() < 255:
            conversions.append(Conversion.ON_WHITE)
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode != "L":
        image = image.convert("RGB")
        # Of the samples, so that the bits they are scaled by do not decide.
        if _is_grey(np.asarray(image) if samples is None else samples):
            image = image.convert("L")
    return ReadImage(image, tuple(conversions), maximum, num_further)


def to_pixels(image: Image.Image, decoding: Decoding) -> Pixels:
    """Convert an image of mode L or RGB to the channels and size of `decoding`: [H, W] or [H, W, 3]."""
    if decoding.channels == 1:
        image = image.convert("L")
    if decoding.image_size is not None:
        image = _resize_and_pad(image, decoding.image_size)
    return np.asarray(image)


def shrink_pixels(pixels_HW: Pixels, factor: int) -> Pixels:
    """Downscale by the rounded mean of `factor` x `factor` squares: [..., H, W] to [..., H / factor, W / factor].

    Raises:
        ValueError: The factor does not divide both sides.
    """
    *others, height, width = pixels_HW.shape
    squares = pixels_HW.reshape(*others, height // factor, factor, width // factor, factor)
    shrunk: Pixels = np.rint(squares.mean(axis=(-3, -1), dtype=np.float32)).astype(np.uint8)
    return shrunk


def significant_bits(maximum: int) -> int:
    """Return the bits that samples up to a maximum were recorded with: 8, 10, 12, 14 or 16."""
    return next(bits for bits in (8, 10, 12, 14, 16) if maximum < 1 << bits)


def _grey_samples(image: Image.Image) -> Samples | None:
    """Return the values of a grey image with more than 8 bits a pixel; None for other images.

    Raises:
        ValueError: They are not whole numbers below 65,536.
    """
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if image.mode not in ("I", "F"):
        return None
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
        raise ValueError("32 bits a pixel; convert it to 8")
    return values.astype(np.uint16)


def _to_8_bits(samples: Samples, bits: int) -> tuple[Image.Image, int]:
    """Scale samples [H, W] or [H, W, C] to 8 bits, opacity by its own range; return the largest value as well."""
    # Pillow's conversion clips at 255 instead of scaling.
    scaled = np.minimum(samples >> (bits - 8), 255).astype(np.uint8)
    colours = samples[..., :3] if samples.ndim == 3 else samples
    if samples.ndim == 3 and samples.shape[2] == 4:
        opacity = samples[..., 3]
        scaled[..., 3] = opacity >> (significant_bits(int(opacity.max())) - 8)
    return Image.fromarray(scaled), int(colours.max())


def _is_grey(pixels: Pixels | Samples) -> bool:
    """Return True if the first three channels are equal; many grey images are stored as colour."""
    return bool((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all())


def _resize_and_pad(image: Image.Image, side: int) -> Image.Image:
    """Resize an image to fit a square, padded with the mean colour of its border.

    Padding, not cropping: a crop can remove the part that distinguishes two classes. The border's colour,
    not black: black padding adds an edge that the network could learn.
    """
    scale = side / max(image.size)
    width, height = (max(1, round(length * scale)) for length in image.size)
    # Pillow's bilinear filter is antialiased when downscaling, and unlike bicubic it never overshoots.
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    if width == height:
        return resized
    # From the original image: resizing blends interior pixels into the border.
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    border = np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])
    colour = tuple(round(value) for value in border.mean(axis=0).tolist())
    square = Image.new(image.mode, (side, side), colour if len(colour) > 1 else colour[0])
    square.paste(resized, ((side - width) // 2, (side - height) // 2))
    return square


def stack_images(images: Sequence[Pixels], channels: int | None) -> Pixels:
    """Stack images to [N, C, H, W] with C `channels`; None means 1 if all images are grey, else 3."""
    num_channels = channels or max(3 if image.ndim == 3 else 1 for image in images)
    height, width = images[0].shape[:2]
    stacked = np.empty((len(images), num_channels, height, width), dtype=np.uint8)
    for number, image in enumerate(images):
        stacked[number] = image if image.ndim == 2 else image.transpose(2, 0, 1)
    return stacked


def sizes_fault(by_size: Mapping[tuple[int, int], Sequence[str]]) -> str:
    """Fault of images of several sizes, given their names by width and height."""
    most_first = sorted(by_size.items(), key=lambda item: -len(item[1]))
    shown = [f"{w}×{h} ({len(names)}, as {names[0]})" for (w, h), names in most_first[:NUM_LISTED]]
    return f"images of different sizes: {shortened_list(shown, len(by_size))}; fit them with image_size"


def decoding_fault(error: BaseException) -> str:
    """Return a short reason for a decoding error."""
    # Pillow's message repeats the path, which the caller reports already.
    text = str(error)
    return "no image" if text.startswith("cannot identify image file") else text or type(error).__name__
