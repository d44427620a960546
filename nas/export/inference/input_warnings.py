"""Out-of-distribution checks of input images against the training images: size, channels and polarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from nas.data.decoding.image_decoding import Pixels
from nas.export.foreground_polarity import ForegroundPolarity
from nas.export.inference.exported_model import ModelFile

_MAX_CHANCE = 0.02


class InputWarning(Enum):
    """Property in which an image differs from the training images."""

    SIZE = "size"
    CHANNELS = "channels"
    POLARITY = "polarity"
    UNLIKE = "unlike"


@dataclass(frozen=True)
class ImageProperties:
    """Properties of an image file before resizing and channel conversion."""

    width: int
    height: int
    is_grey: bool


@dataclass(frozen=True)
class WarnedImages:
    """Images with the same input warning.

    Attributes:
        sentence: Message for the user; names one of the images.
        num_images: Number of images with the warning.
    """

    warning: InputWarning
    sentence: str
    num_images: int


@dataclass(frozen=True)
class TrainingImageProfile:
    """Properties of the training images, for comparison with input images.

    Attributes:
        height: Height of the training images before they were shrunk, in pixels; `width` likewise.
        fitted: True if the training images had many sizes and were resized to this one.
        shrink: Factor by which the network's input is smaller; images of the input size are also accepted.
        unlike_share: Share of images like those of training whose evidence is below the threshold.
    """

    channels: int
    height: int
    width: int
    fitted: bool
    foreground: ForegroundPolarity
    shrink: int = 1
    unlike_share: float = 0.0

    @classmethod
    def of(cls, model: ModelFile) -> TrainingImageProfile:
        """Return the profile in a file's metadata."""
        described = model.metadata["training_images"]
        foreground = ForegroundPolarity(described["polarity"], described["border"])
        height, width = model.shrink * model.height, model.shrink * model.width
        return cls(model.channels, height, width, described["fitted"], foreground, model.shrink, model.unlike_share)

    def input_warnings(self, properties: Sequence[ImageProperties], pixels_NCHW: Pixels) -> list[list[InputWarning]]:
        """Return the warnings of each image.

        Args:
            properties: Properties of the image files, in the order of the pixels.
            pixels_NCHW: The images at the network's size.
        """
        warnings = []
        for image, is_inverted in zip(properties, self.foreground.inverted(pixels_NCHW), strict=True):
            checks = {
                InputWarning.SIZE: self._has_unexpected_size(image),
                InputWarning.CHANNELS: image.is_grey != (self.channels == 1),
                InputWarning.POLARITY: is_inverted,
            }
            warnings.append([warning for warning, applies in checks.items() if applies])
        return warnings

    def is_more_than_chance(self, num_unlike: int, num_images: int) -> bool:
        """Return True if images below the evidence's threshold are more than of images like those of training.

        Of these so many would be below it with a probability of less than 2 % (binomial distribution).
        """
        # Imported here, because the import of scipy would slow down every command.
        from scipy import stats

        return num_unlike > 0 and float(stats.binom.sf(num_unlike - 1, num_images, self.unlike_share)) < _MAX_CHANCE

    def _has_unexpected_size(self, image: ImageProperties) -> bool:
        if self.fitted:
            # Any size is resized to this one, but an image that must be enlarged far has too little detail.
            return 2 * max(image.width, image.height) < self.height
        expected = [(self.width // factor, self.height // factor) for factor in (1, self.shrink)]
        return (image.width, image.height) not in expected

    def sentence(self, warning: InputWarning, paths: Sequence[Path], num_images: int) -> str:
        """Return the message for the images with a warning.

        Args:
            paths: The images with the warning, at least one.
            num_images: Number of all images.
        """
        count = f"{len(paths):,} of {num_images:,} images" if num_images > 1 else "the image"
        are = "are" if num_images > 1 and len(paths) > 1 else "is"
        polarity = self.foreground.polarity
        opposite = "dark on light" if polarity == "light on dark" else "light on dark"
        message = {
            InputWarning.SIZE: (
                f"{are} smaller than half of the {self.width}x{self.height} pixels that photos are fitted into"
                if self.fitted
                else f"{are} not of the {self.width}x{self.height} pixels that all training images had"
            ),
            InputWarning.CHANNELS: (
                f"{are} in colour, the training images were grey"
                if self.channels == 1
                else f"{are} grey, training images were in colour"
            ),
            InputWarning.UNLIKE: (
                f"{are} unlike the training images by the network's evidence, which is lower than for "
                f"{1 - self.unlike_share:.1%} of the validation images"
            ),
            InputWarning.POLARITY: f"{are} {opposite}, the training images were {polarity}: invert?",
        }[warning]
        return f"{count} {message} ({'first: ' if len(paths) > 1 else ''}{paths[0]})"
