"""Classification of image files, single or in pairs.

Array dimensions: N images, C channels, H rows, W columns, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import UnidentifiedImageError

from nas.data.decoding.file_kinds import file_kind
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
from nas.export.inference.exported_model import Logits, ModelFile, evidence
from nas.export.inference.input_warnings import ImageProperties, InputWarning, TrainingImageProfile, WarnedImages

_BATCH = 128


@dataclass(frozen=True)
class Prediction:
    """Ranked class probabilities of an image or a pair.

    Attributes:
        images: Path of the image, or of the two that are compared.
        ranked: Class names with their probabilities, calibrated if the file has a temperature, most probable first.
        is_unlike: True if the network's evidence is below the threshold of images like those of training; None for a
            file of a version without a threshold.
    """

    images: tuple[str, ...]
    ranked: tuple[tuple[str, float], ...]
    is_unlike: bool | None = None


@dataclass(frozen=True)
class Unreadable:
    """An image file that could not be read."""

    image: str
    reason: str


@dataclass(frozen=True, eq=False)
class _DecodedInput:
    """Decoded input of one prediction: an image, or the two of a pair.

    Attributes:
        pixels: Each image at the network's size, [1, C, H, W].
    """

    paths: tuple[Path, ...]
    properties: tuple[ImageProperties, ...]
    pixels: tuple[Pixels, ...]


@dataclass
class PredictionResults:
    """Predictions and faults of a list of files, in their order.

    Attributes:
        warned_images: Images with an input warning, by warning.
    """

    predictions: list[Prediction] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    warned_images: dict[InputWarning, list[Path]] = field(default_factory=dict)


class Classifier:
    """Classifier of image files, which are resized and converted like the study's images."""

    def __init__(self, model: ModelFile) -> None:
        self._model = model
        self._profile = TrainingImageProfile.of(model)
        # Images of any size are fitted into a square; for other shapes only the network's own size is unambiguous.
        self._is_square = model.height == model.width

    @property
    def num_images(self) -> int:
        """Number of images per prediction."""
        return self._model.num_images

    def predict(self, paths: Sequence[Path], top: int) -> PredictionResults:
        """Classify files and list the unreadable ones; a pair with an unreadable image gets no prediction.

        Args:
            paths: For a network that compares pairs, consecutive paths form a pair.
            top: Number of classes to keep for each prediction.
        """
        results = PredictionResults()
        batch: list[_DecodedInput] = []
        for start in range(0, len(paths), self.num_images):
            decoded = self._decode_input(paths[start : start + self.num_images], results)
            if decoded is not None:
                batch.append(decoded)
            if len(batch) == _BATCH:
                self._predict_batch(batch, top, results)
                batch = []
        if batch:
            self._predict_batch(batch, top, results)
        return results

    def input_warnings(self, results: PredictionResults) -> list[WarnedImages]:
        """Return the input warnings of the predicted images, one entry for each warning that occurs."""
        num_images = self.num_images * len(results.predictions)
        num_unlike = len(results.warned_images.get(InputWarning.UNLIKE, ())) // self.num_images
        is_chance = not self._profile.is_more_than_chance(num_unlike, len(results.predictions))
        return [
            WarnedImages(warning, self._profile.sentence(warning, paths, num_images), len(paths))
            for warning in InputWarning
            if not (is_chance and warning is InputWarning.UNLIKE) and (paths := results.warned_images.get(warning))
        ]

    def _decode_input(self, paths: Sequence[Path], results: PredictionResults) -> _DecodedInput | None:
        """Decode the images of one prediction; if one is unreadable, record it in `results` and return None."""
        decoded: list[tuple[ImageProperties, Pixels]] = []
        for path in paths:
            try:
                decoded.append(self._decode(path))
            except DECODING_ERRORS as error:
                results.unreadable.append(Unreadable(str(path), _reason(path, error)))
        if len(decoded) < len(paths):
            return None
        properties, pixels = zip(*decoded, strict=True)
        return _DecodedInput(tuple(paths), properties, pixels)

    def _decode(self, path: Path) -> tuple[ImageProperties, Pixels]:
        image = read_image(path, self._model.bits).image
        model, width, height = self._model, self._model.width, self._model.height
        shrink = 1 if image.size == (width, height) else model.shrink
        side = shrink * height if self._is_square else None
        pixels_1CHW = stack_images([to_pixels(image, Decoding(side, model.channels))], model.channels)
        if pixels_1CHW.shape[2:] != (shrink * height, shrink * width):
            sizes = dict.fromkeys((f"{shrink * width}x{shrink * height}", f"{width}x{height}"))
            raise ValueError(f"{image.width}x{image.height} pixels, and the network takes {' or '.join(sizes)} alone")
        return ImageProperties(*image.size, is_grey=image.mode == "L"), shrink_pixels(pixels_1CHW, shrink)

    def _predict_batch(self, batch: Sequence[_DecodedInput], top: int, results: PredictionResults) -> None:
        paths = [path for decoded in batch for path in decoded.paths]
        properties = [image for decoded in batch for image in decoded.properties]
        pixels_NCHW = np.concatenate([pixels for decoded in batch for pixels in decoded.pixels])
        for path, warnings in zip(paths, self._profile.input_warnings(properties, pixels_NCHW), strict=True):
            for warning in warnings:
                results.warned_images.setdefault(warning, []).append(path)
        logits_NK = self._model.logits(self._model.as_input(pixels_NCHW))
        is_unlike_N = evidence(logits_NK) < self._model.evidence_threshold
        probabilities_NK = _softmax(logits_NK / np.float32(self._model.temperature))
        for decoded, row, is_unlike in zip(batch, probabilities_NK, is_unlike_N.tolist(), strict=True):
            if is_unlike:
                results.warned_images.setdefault(InputWarning.UNLIKE, []).extend(decoded.paths)
            best = np.argsort(-row, kind="stable")[:top]
            ranked = tuple((self._model.classes[k], float(row[k])) for k in best)
            known = is_unlike if np.isfinite(self._model.evidence_threshold) else None
            results.predictions.append(Prediction(tuple(map(str, decoded.paths)), ranked, known))


def _softmax(logits_NK: Logits) -> Logits:
    exponentials_NK = np.exp(logits_NK - logits_NK.max(axis=1, keepdims=True))
    probabilities_NK: Logits = exponentials_NK / exponentials_NK.sum(axis=1, keepdims=True)
    return probabilities_NK


def _reason(path: Path, error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, UnidentifiedImageError):
        kind = file_kind(path)
        return f"no image ({kind}{'; unpack it first' if 'archive' in kind else ''})"
    return error.strerror if isinstance(error, OSError) and error.strerror else decoding_fault(error)
