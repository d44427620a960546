"""How far a training that is repeated lands from the first one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from nas.results.test_predictions import Predictions


@dataclass(frozen=True)
class Repetition:
    """A repeated training beside the first one.

    Attributes:
        run: Number of the trial that was repeated.
        macro_f1: On the test images, of the first.
        repeated_f1: Likewise, of the repeated one.
        share_alike: Test images of which both say the same.
        largest_weight_difference: 0 where the weights are the same to the bit; None where the first kept none.
    """

    run: int
    macro_f1: float
    repeated_f1: float
    share_alike: float
    largest_weight_difference: float | None

    @property
    def sentence(self) -> str:
        """For a person."""
        if self.largest_weight_difference == 0.0:
            weights = "weights identical to the bit"
        elif self.largest_weight_difference is None:
            weights = "weights were not kept"
        else:
            weights = f"weights differ by up to {self.largest_weight_difference:.2g}"
        return (
            f"trial {self.run} repeated: macro-F1 {self.repeated_f1:.4f} against {self.macro_f1:.4f} "
            f"({self.repeated_f1 - self.macro_f1:+.4f}), the same class for {self.share_alike:.2%} of the test images, "
            f"{weights}."
        )

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def share_alike(one: Predictions, other: Predictions) -> float:
    """Of the images, those that both give the same class."""
    return float((one.classes == other.classes).mean())


def largest_weight_difference(one: Path, other: Path) -> float:
    """Between two weights files of one network, 0 where every tensor is the same to the bit."""
    ours, theirs = load_file(one), load_file(other)
    differences = [
        float(np.abs(ours[name].astype(np.float64) - theirs[name].astype(np.float64)).max(initial=0.0))
        for name in ours
        if not np.array_equal(ours[name], theirs[name], equal_nan=True)
    ]
    return max(differences, default=0.0)
