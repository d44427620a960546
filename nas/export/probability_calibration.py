"""Temperature of a network's probabilities, and the level below which an image is unlike those of training.

Dimensions: N images, K classes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from scipy import optimize
from torch import Tensor
from torch.nn import functional

from nas.data.labelled_images import Split
from nas.export.pixel_classifier import PixelClassifier

_BATCH = 128
_MAX_IMAGES = 10_000
_MIN_IMAGES = 20
_BINS = 15
_BOUNDS = (-3.0, 3.0)
UNLIKE_SHARE = 0.01
"""Share of the validation images below the level: of images like those of training as many are taken for unlike."""


@dataclass(frozen=True)
class ProbabilityCalibration:
    """Calibration of a network on validation images.

    Attributes:
        temperature: Divisor of the logits before the softmax.
        ece_before: Expected calibration error of the softmax of the logits, in 15 bins of equal width.
        ece_after: The same with temperature. Each half of the images is scored with the temperature of the other half,
            since a temperature fits the images that it is chosen on.
        evidence_threshold: Level of the log of the sum of the logits' exponentials below which an image is taken to be
            unlike those of training.
        unlike_share: Share of the validation images below that level.
        num_images: Number of validation images.

    Source: temperature and expected calibration error: Guo et al., "On calibration of modern neural networks", 2017;
    evidence: Liu et al., "Energy-based out-of-distribution detection", 2020.
    """

    temperature: float
    ece_before: float
    ece_after: float
    evidence_threshold: float
    unlike_share: float
    num_images: int

    def as_json(self) -> dict[str, Any]:
        """Return the entries of an exported file's metadata."""
        return {**asdict(self), "split": "validation", "bins": _BINS}

    @property
    def sentence(self) -> str:
        """Summary for the terminal."""
        return (
            f"Probabilities: temperature {self.temperature:.3f} from {self.num_images:,} validation images; expected "
            f"calibration error {self.ece_before:.3f}, with it {self.ece_after:.3f}."
        )


def calibrate(classifier: PixelClassifier, validation: Split) -> ProbabilityCalibration | None:
    """Calibrate a network on at most 10,000 evenly spaced validation images; None if there are fewer than 20."""
    if len(validation) < _MIN_IMAGES:
        return None
    places = torch.linspace(0, len(validation) - 1, min(_MAX_IMAGES, len(validation))).long()
    images, labels_N = validation.images.cpu()[places], validation.labels.cpu()[places]
    with torch.no_grad():
        logits_NK = torch.cat([classifier(batch) for batch in torch.split(images, _BATCH)]).double()
    return calibrate_logits(logits_NK, labels_N)


def calibrate_logits(logits_NK: Tensor, labels_N: Tensor) -> ProbabilityCalibration:
    """Calibrate a network by its logits."""
    halves = [torch.arange(start, len(labels_N), 2) for start in (0, 1)]
    crossed_NK = logits_NK.clone()
    for ours, others in (halves, halves[::-1]):
        crossed_NK[ours] /= fit_temperature(logits_NK[others], labels_N[others])
    evidence_N = logits_NK.logsumexp(1)
    threshold = float(torch.quantile(evidence_N, UNLIKE_SHARE))
    return ProbabilityCalibration(
        temperature=fit_temperature(logits_NK, labels_N),
        ece_before=expected_calibration_error(logits_NK, labels_N),
        ece_after=expected_calibration_error(crossed_NK, labels_N),
        evidence_threshold=threshold,
        unlike_share=float((evidence_N < threshold).double().mean()),
        num_images=len(labels_N),
    )


def fit_temperature(logits_NK: Tensor, labels_N: Tensor) -> float:
    """Return the temperature of the least cross entropy, between e^-3 and e^3."""

    def loss(log_temperature: float) -> float:
        return float(functional.cross_entropy(logits_NK / torch.tensor(log_temperature).exp(), labels_N))

    found = optimize.minimize_scalar(loss, bounds=_BOUNDS, method="bounded", options={"xatol": 1e-4})
    return float(torch.tensor(found.x).exp())


def expected_calibration_error(logits_NK: Tensor, labels_N: Tensor) -> float:
    """Mean distance of confidence and accuracy over bins of equal width, weighted by their images."""
    confidence_N, predicted_N = logits_NK.softmax(1).max(1)
    is_correct_N = (predicted_N == labels_N).double()
    bins_N = (confidence_N * _BINS).ceil().long().clamp(1, _BINS)
    gaps = torch.zeros(_BINS + 1, dtype=torch.float64).index_add(0, bins_N, confidence_N.double() - is_correct_N)
    return float(gaps.abs().sum() / len(labels_N))
