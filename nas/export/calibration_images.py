"""The study's own images, for what an export can only learn from them: an eight-bit network's ranges and its scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from nas.data.dataset_summary import dataset_differences
from nas.data.labelled_images import Split
from nas.data.load_dataset import load_data
from nas.errors import DataError
from nas.export.inference.exported_model import Pixels
from nas.results.dataset_summary import DatasetSummary
from nas.study.data_spec import DataSpec
from nas.training.checkpoints.weights_file import Weights

CALIBRATION_IMAGES = 512


@dataclass(frozen=True, eq=False)
class CalibrationImages:
    """Images to calibrate on and to score on.

    Attributes:
        calibration: uint8 [N, C, H, W], with C as a split has it.
        validation: None where the study's images are not at hand.
        source: What the calibration images are, for a sentence.
    """

    calibration: Pixels
    validation: Split | None
    source: str


def calibration_images(spec: DataSpec, folder: Path, facts: DatasetSummary, weights: Weights) -> CalibrationImages:
    """Training images, spread evenly, and all validation images; without them, those of the weights file.

    Args:
        folder: As for `nas.data.load_dataset.load_data`.
        facts: What the study knows of its images; others than those are not used.
    """
    samples: Pixels = weights.sample_images.numpy()
    try:
        data = load_data(spec, folder)
    except DataError as error:
        reason = str(error).splitlines()[0]
    else:
        changes = dataset_differences(data, facts)
        if not changes:
            chosen = torch.linspace(0, len(data.train) - 1, min(CALIBRATION_IMAGES, len(data.train))).long()
            images: Pixels = data.train.images[chosen].numpy()
            return CalibrationImages(images, data.validation, f"{len(images)} training {facts.unit}s")
        reason = f"the images have changed, {changes[0]}"
    return CalibrationImages(samples, None, f"the {len(samples)} {facts.unit}s that its weights came with ({reason})")
