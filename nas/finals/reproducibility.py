"""Reproducibility check: comparison of a repeated training with the first one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from nas.errors import ModelFileError
from nas.results.predictions_on_test_images import Predictions


@dataclass(frozen=True)
class Repetition:
    """Comparison of a repeated training with the first one.

    Attributes:
        run: Number of the repeated trial.
        macro_f1: Macro-F1 of the first training on the test images.
        repeated_f1: Macro-F1 of the repeated training on the test images.
        share_alike: Share of test images with equal predicted classes.
        largest_weight_difference: 0 for bitwise equal weights; None if the first training kept none.
        score: The study's score of the first training, if it is not macro-F1; `repeated_score` of the repeated one.
        title: Name of the study's score in sentences.
    """

    run: int
    macro_f1: float
    repeated_f1: float
    share_alike: float
    largest_weight_difference: float | None
    score: float | None = None
    repeated_score: float | None = None
    title: str = "macro-F1"

    @property
    def sentence(self) -> str:
        """Comparison in one sentence."""
        if self.largest_weight_difference == 0.0:
            weights = "weights identical to the bit"
        elif self.largest_weight_difference is None:
            weights = "weights were not kept"
        else:
            weights = f"weights differ by up to {self.largest_weight_difference:.2g}"
        first, repeated = self.macro_f1, self.repeated_f1
        if self.score is not None and self.repeated_score is not None:
            first, repeated = self.score, self.repeated_score
        return (
            f"trial {self.run} repeated: {self.title} {repeated:.4f} against {first:.4f} "
            f"({repeated - first:+.4f}), the same class for {self.share_alike:.2%} of the test images, "
            f"{weights}."
        )

    def as_json(self) -> dict[str, Any]:
        """Return the comparison for `--json`."""
        values = {key: value for key, value in asdict(self).items() if key != "title"}
        return {key: value for key, value in values.items() if self.score is not None or "score" not in key}


def share_alike(one: Predictions, other: Predictions) -> float:
    """Return the share of images with equal predicted classes."""
    return float((one.classes == other.classes).mean())


def largest_weight_difference(one: Path, other: Path) -> float:
    """Return the largest absolute difference between two weights files of one network; 0 for bitwise equal tensors.

    Raises:
        ModelFileError: A file is damaged.
    """
    try:
        first, second = load_file(one), load_file(other)
    except (OSError, SafetensorError) as error:
        raise ModelFileError(f"{one.name} or {other.name}: not a weights file, or damaged ({error})") from error
    differences = [
        float(np.abs(first[name].astype(np.float64) - second[name].astype(np.float64)).max(initial=0.0))
        for name in first
        if not np.array_equal(first[name], second[name], equal_nan=True)
    ]
    return max(differences, default=0.0)
