"""Predictions on the test images, stored per network for paired comparisons in the finals.

Dimensions: N images, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from nas.errors import ModelFileError


@dataclass(frozen=True, eq=False)
class Predictions:
    """Logits and labels of a split.

    Attributes:
        logits: float32 [N, K].
        labels: int64 [N].
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]

    @property
    def classes(self) -> NDArray[np.int64]:
        """Predicted class of each image, [N]."""
        predicted: NDArray[np.int64] = self.logits.argmax(1)
        return predicted

    def save(self, path: Path) -> None:
        """Write the predictions as safetensors."""
        save_file({"logits": np.ascontiguousarray(self.logits), "labels": self.labels}, path)

    @classmethod
    def load(cls, path: Path) -> Predictions:
        """Read a file written by `save`.

        Raises:
            ModelFileError: The file is damaged or not a file of predictions.
        """
        try:
            arrays = load_file(path)
            return cls(arrays["logits"], arrays["labels"])
        except (OSError, SafetensorError, KeyError) as error:
            raise ModelFileError(f"{path}: not a file of predictions, or damaged ({error})") from error
