"""What makes an image look unlike those that a network learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from nas.data.decoding.image_decoding import Pixels
from nas.data.foreground_polarity import ForegroundPolarity
from nas.export.inference.exported_model import ModelFile


class InputWarning(Enum):
    """A way to be unlike them."""

    SIZE = "size"
    CHANNELS = "channels"
    POLARITY = "polarity"


@dataclass(frozen=True)
class ImageProperties:
    """A file as it was before it was brought to the network's size and channels."""

    width: int
    height: int
    is_grey: bool


@dataclass(frozen=True)
class WarnedImages:
    """The images with one doubt about them.

    Attributes:
        sentence: For a person; names one of the images.
        num_images: Of those that were looked at.
    """

    warning: InputWarning
    sentence: str
    num_images: int


@dataclass(frozen=True)
class TrainingImageProfile:
    """What an image should look like.

    Attributes:
        height: In pixels, as `width`, of the training images before they were shrunk.
        fitted: Whether the training images themselves had many sizes and were brought to that one.
        shrink: How many times smaller the network's own images are, which are taken as they are.
    """

    channels: int
    height: int
    width: int
    fitted: bool
    appearance: ForegroundPolarity
    shrink: int = 1

    @classmethod
    def of(cls, model: ModelFile) -> TrainingImageProfile:
        """That of a file's training images."""
        told = model.metadata["training_images"]
        appearance = ForegroundPolarity(told["polarity"], told["border"])
        height, width = model.shrink * model.height, model.shrink * model.width
        return cls(model.channels, height, width, told["fitted"], appearance, model.shrink)

    def input_warnings(self, looks: Sequence[ImageProperties], pixels_NCHW: Pixels) -> list[list[InputWarning]]:
        """What is odd about each image.

        Args:
            pixels_NCHW: The images as the network takes them.
        """
        found = []
        for look, is_inverted in zip(looks, self.appearance.inverted(pixels_NCHW), strict=True):
            signs = {
                InputWarning.SIZE: self._is_odd_size(look),
                InputWarning.CHANNELS: look.is_grey != (self.channels == 1),
                InputWarning.POLARITY: is_inverted,
            }
            found.append([warning for warning, is_there in signs.items() if is_there])
        return found

    def _is_odd_size(self, look: ImageProperties) -> bool:
        if self.fitted:
            # Photos of any size were brought to this one; what has to be enlarged far has little to be recognised by.
            return 2 * max(look.width, look.height) < self.height
        expected = [(self.width // factor, self.height // factor) for factor in (1, self.shrink)]
        return (look.width, look.height) not in expected

    def sentence(self, warning: InputWarning, paths: Sequence[Path], num_images: int) -> str:
        """What to tell about the images with a doubt."""
        count = f"{len(paths):,} of {num_images:,} images" if num_images > 1 else "the image"
        are = "are" if num_images > 1 and len(paths) > 1 else "is"
        said = {
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
            InputWarning.POLARITY: f"{are} {self._opposite}, the training images were {self.appearance.polarity}: invert?",
        }[warning]
        return f"{count} {said} ({'first: ' if len(paths) > 1 else ''}{paths[0]})"

    @property
    def _opposite(self) -> str:
        return "dark on light" if self.appearance.polarity == "light on dark" else "light on dark"
