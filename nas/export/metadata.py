"""Metadata of an exported file."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from typing import Any

import torch

import nas
from nas.export.foreground_polarity import ForegroundPolarity
from nas.export.inference.exported_model import FORMAT
from nas.export.probability_calibration import ProbabilityCalibration
from nas.results.dataset_summary import DatasetSummary
from nas.study.data_spec import DataSpec
from nas.training.checkpoints.weights_file import Weights


@dataclass(frozen=True)
class Origin:
    """Study and trial of a network, and the preprocessing of its training images.

    Attributes:
        fitted: True if the training images were resized to the network's size, as in a folder of photos.
        shrink: Factor by which each side was then reduced, by averaging squares of pixels.
        training: Origin of the weights, in words.
    """

    study: str
    trial: int
    fitted: bool
    shrink: int = 1
    training: str = "from nothing"

    @classmethod
    def of(cls, study: str, trial: int, data: DataSpec, training: str) -> Origin:
        """Return the origin of a network that was trained on the images of a specification."""
        return cls(study, trial, fitted=data.image_size is not None, shrink=data.shrink or 1, training=training)


def input_shape(summary: DatasetSummary) -> tuple[int, ...]:
    """Shape of one input of an exported file: an image [C, H, W], or a pair of images [2, C, H, W]."""
    if summary.is_pair:
        return 2, summary.channels // 2, summary.height, summary.width
    return summary.channels, summary.height, summary.width


def export_metadata(
    weights: Weights, origin: Origin, calibration: ProbabilityCalibration | None = None
) -> dict[str, Any]:
    """Return the metadata of an exported file as JSON values.

    Args:
        calibration: Calibration on validation images; None without.
    """
    metadata = weights.metadata
    summary = metadata.dataset
    shape = input_shape(summary)
    # Polarity is measured on single images, also for pairs.
    samples_NCHW = weights.sample_images.numpy().reshape(-1, *shape[-3:])
    return {
        "format": FORMAT,
        "classes": summary.classes,
        **({"part_classes": summary.part_classes} if summary.is_pair else {}),
        "input": {
            "kind": "pair" if summary.is_pair else "image",
            "shape": ["N", *shape],
            "type": "uint8",
            "range": [0, 255],
        },
        "training_images": {
            "data": summary.name,
            "mean": summary.mean,
            "std": summary.std,
            "fitted": origin.fitted,
            "shrink": origin.shrink,
            **({} if summary.bits is None else {"bits": summary.bits}),
            **({} if summary.content is None else {"content": summary.content.digests}),
            **asdict(ForegroundPolarity.of(samples_NCHW)),
        },
        **({} if calibration is None else {"calibration": calibration.as_json()}),
        "genome": metadata.genome.model_dump(mode="json", exclude_none=True),
        "metrics": metadata.metrics,
        "scored_on": metadata.scored_on,
        "study": origin.study,
        "trial": origin.trial,
        "training": origin.training,
        "versions": {"nas": nas.__version__, "torch": torch.__version__, "python": platform.python_version()},
    }
