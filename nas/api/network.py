"""A trained network as a PyTorch module with its classes.

Dimensions: N images, C channels, H and W pixels, K classes.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nas.data.sources.array_pixels import convert_pixels
from nas.errors import DataError
from nas.export.export_network import CalibrationLoader, calibrate_weights
from nas.export.metadata import input_shape
from nas.export.pixel_classifier import rebuild
from nas.export.probability_calibration import ProbabilityCalibration
from nas.training.checkpoints.weights_file import load_weights
from nas.training.load_plugins import load_plugins as load_plugins

_BATCH = 256


class ImageNetwork(nn.Module):
    """Network with its input normalisation: uint8 pixels [N, C, H, W] to logits [N, K].

    A network that compares pairs takes [N, 2, C, H, W].

    Attributes:
        classes: Names of the classes, in the order of the logits.
        input_shape: Shape of one input, [C, H, W] or [2, C, H, W].
        metrics: Averaged scores on the validation images, by name; of finals on the test images.
        calibration: Calibration of the probabilities on the validation images; None where it was not asked for, the
            images are not at hand or fewer than twenty, and of finals, which were trained on them.
    """

    def __init__(
        self, classifier: nn.Module, classes: tuple[str, ...], input_shape: tuple[int, ...], metrics: dict[str, float],
        calibration: ProbabilityCalibration | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.classifier = classifier
        self.classes = classes
        self.input_shape = input_shape
        self.metrics = metrics
        self.calibration = calibration

    @classmethod
    def from_file(cls, path: Path, load_images: CalibrationLoader | None = None) -> ImageNetwork:
        """Build the network of a weights file.

        Args:
            load_images: Returns the images on which the probabilities are calibrated; None to leave them as they are.

        Raises:
            ModelFileError: The file is not a weights file, or is damaged.
        """
        weights = load_weights(path)
        summary = weights.metadata.dataset
        calibration = None if load_images is None else calibrate_weights(weights, partial(load_images, weights))
        return cls(
            rebuild(weights), summary.classes, input_shape(summary), dict(weights.metadata.metrics), calibration
        ).eval()

    @property
    def temperature(self) -> float:
        """Divisor of the logits before the softmax of `predict_proba`; 1 without calibration."""
        return 1.0 if self.calibration is None else self.calibration.temperature

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Compute the logits of images with pixels in 0-255."""
        logits_NK: Tensor = self.classifier(images_NCHW)
        return logits_NK

    def predict(self, images: npt.ArrayLike | Tensor) -> npt.NDArray[np.str_]:
        """Return the name of the most probable class of each image, [N].

        Args:
            images: Images of the network's size, [N, H, W], [N, H, W, C] or [N, C, H, W]; pixels 0-255, or 0-1. One
                image may come without N.

        Raises:
            DataError: The images have another shape or other values.
        """
        names: npt.NDArray[np.str_] = np.array(self.classes)[self.predict_proba(images).argmax(1)]
        return names

    def predict_proba(self, images: npt.ArrayLike | Tensor) -> npt.NDArray[np.float32]:
        """Return the probabilities of the classes, [N, K], with the calibrated temperature.

        Arguments and errors are those of `predict`.
        """
        pixels = self._as_input(np.asarray(images.cpu() if isinstance(images, Tensor) else images))
        device = next(self.parameters()).device
        probabilities: list[npt.NDArray[np.float32]] = []
        with torch.inference_mode():
            for start in range(0, len(pixels), _BATCH):
                batch = torch.from_numpy(pixels[start : start + _BATCH]).to(device)
                probabilities.append((self(batch).float() / self.temperature).softmax(1).cpu().numpy())
        return np.concatenate(probabilities) if probabilities else np.empty((0, len(self.classes)), np.float32)

    def _as_input(self, images: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        *pair, channels, height, width = self.input_shape
        if not len(images):
            return np.empty((0, *self.input_shape), np.uint8)
        if images.ndim == 2 + len(pair) or (images.ndim == 3 + len(pair) and channels > 1):
            images = images[None]
        converted = convert_pixels({"images": images.reshape(-1, *images.shape[2:]) if pair else images})
        if converted.faults:
            raise DataError("; ".join(converted.faults))
        pixels = converted.images["images"]
        if pixels.shape[1:] != (channels, height, width):
            raise DataError(
                f"images: shape [C, H, W] of {[*pixels.shape[1:]]} where the network takes "
                f"{[channels, height, width]}; resize them as those of training"
            )
        return pixels.reshape(-1, *self.input_shape) if pair else pixels
