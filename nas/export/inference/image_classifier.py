"""Classes and probabilities of image files, each by itself or two by two.

Array dimensions: N images, C channels, H rows, W columns, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nas.data.decoding.image_decoding import (
    DECODING_ERRORS,
    Decoding,
    Pixels,
    decoding_fault,
    read_image,
    shrink_pixels,
    stack_images,
    to_pixels,
)
from nas.export.inference.exported_model import Logits, ModelFile
from nas.export.inference.input_warnings import ImageProperties, InputWarning, TrainingImageProfile, WarnedImages

_BATCH = 128


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image, or of a pair.

    Attributes:
        images: One, or the two that are compared.
        ranked: Class names with their probabilities, most probable first.
    """

    images: tuple[str, ...]
    ranked: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Unreadable:
    """A file that gave no prediction."""

    image: str
    reason: str


@dataclass(frozen=True, eq=False)
class _Question:
    """What is to be answered at once, read: an image, or the two of a pair.

    Attributes:
        pixels: Of each, as the network takes it, [1, C, H, W].
    """

    paths: tuple[Path, ...]
    looks: tuple[ImageProperties, ...]
    pixels: tuple[Pixels, ...]


@dataclass
class PredictionResults:
    """What came of a number of files, in their order.

    Attributes:
        doubtful: Images with a doubt about them.
    """

    predictions: list[Prediction] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    warned_images: dict[InputWarning, list[Path]] = field(default_factory=dict)


class Classifier:
    """A network for image files, which are brought to its size and channels as those of its study were."""

    def __init__(self, model: ModelFile) -> None:
        self._model = model
        self._expectation = TrainingImageProfile.of(model)
        # A network of square images takes any image, fitted; for others only their own size is unambiguous.
        self._is_square = model.height == model.width

    @property
    def num_images(self) -> int:
        """How many images one answer is about."""
        return self._model.num_images

    def predict(self, paths: Sequence[Path], top: int) -> PredictionResults:
        """Classify files, and name those that cannot be read; a pair with one of them has no answer.

        Args:
            paths: Of a network that compares pairs, the first two are a pair, the next two another one, and so on.
            top: Classes kept of each.
        """
        predicted = PredictionResults()
        batch: list[_Question] = []
        for start in range(0, len(paths), self.num_images):
            asked = self._read_all(paths[start : start + self.num_images], predicted)
            if asked is not None:
                batch.append(asked)
            if len(batch) == _BATCH:
                self._answer(batch, top, predicted)
                batch = []
        if batch:
            self._answer(batch, top, predicted)
        return predicted

    def input_warnings(self, predicted: PredictionResults) -> list[WarnedImages]:
        """What makes the images look unlike the training images, one sentence a kind."""
        num_images = self.num_images * len(predicted.predictions)
        return [
            WarnedImages(warning, self._expectation.sentence(warning, paths, num_images), len(paths))
            for warning in InputWarning
            if (paths := predicted.warned_images.get(warning))
        ]

    def _read_all(self, paths: Sequence[Path], predicted: PredictionResults) -> _Question | None:
        """The images of one answer; None where one of them gave nothing, which is then noted."""
        found: list[tuple[ImageProperties, Pixels]] = []
        for path in paths:
            try:
                found.append(self._read(path))
            except DECODING_ERRORS as error:
                predicted.unreadable.append(Unreadable(str(path), _reason(error)))
        if len(found) < len(paths):
            return None
        looks, pixels = zip(*found, strict=True)
        return _Question(tuple(paths), looks, pixels)

    def _read(self, path: Path) -> tuple[ImageProperties, Pixels]:
        image = read_image(path)
        model, width, height = self._model, self._model.width, self._model.height
        shrink = 1 if image.size == (width, height) else model.shrink
        side = shrink * height if self._is_square else None
        pixels_1CHW = stack_images([to_pixels(image, Decoding(side, model.channels))], model.channels)
        if pixels_1CHW.shape[2:] != (shrink * height, shrink * width):
            sizes = dict.fromkeys((f"{shrink * width}x{shrink * height}", f"{width}x{height}"))
            raise ValueError(f"{image.width}x{image.height} pixels, and the network takes {' or '.join(sizes)} alone")
        return ImageProperties(*image.size, is_grey=image.mode == "L"), shrink_pixels(pixels_1CHW, shrink)

    def _answer(self, batch: Sequence[_Question], top: int, predicted: PredictionResults) -> None:
        paths = [path for asked in batch for path in asked.paths]
        looks = [look for asked in batch for look in asked.looks]
        pixels_NCHW = np.concatenate([pixels for asked in batch for pixels in asked.pixels])
        for path, found in zip(paths, self._expectation.input_warnings(looks, pixels_NCHW), strict=True):
            for warning in found:
                predicted.warned_images.setdefault(warning, []).append(path)
        logits_NK = self._model.logits(self._model.as_input(pixels_NCHW))
        for asked, row in zip(batch, _probabilities(logits_NK), strict=True):
            best = np.argsort(-row, kind="stable")[:top]
            ranked = tuple((self._model.classes[k], float(row[k])) for k in best)
            predicted.predictions.append(Prediction(tuple(map(str, asked.paths)), ranked))


def _probabilities(logits_NK: Logits) -> Logits:
    exponentials_NK = np.exp(logits_NK - logits_NK.max(axis=1, keepdims=True))
    probabilities_NK: Logits = exponentials_NK / exponentials_NK.sum(axis=1, keepdims=True)
    return probabilities_NK


def _reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return error.strerror if isinstance(error, OSError) and error.strerror else decoding_fault(error)
