"""Calibration images for 8-bit quantisation and validation images for its scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from nas.data.labelled_images import Split
from nas.data.load_dataset import load_data
from nas.data.summarize_dataset import dataset_differences
from nas.errors import DataError
from nas.export.inference.exported_model import Pixels
from nas.results.dataset_summary import DatasetSummary
from nas.study.data_spec import DataSpec
from nas.training.checkpoints.weights_file import Weights

CALIBRATION_IMAGES = 512


@dataclass(frozen=True, eq=False)
class CalibrationImages:
    """Images for calibration and for scoring.

    Attributes:
        calibration: uint8 [N, C, H, W], with C as in a `Split`.
        validation: None if the study's images are unavailable.
        source: Origin of the calibration images, as a phrase for messages.
    """

    calibration: Pixels
    validation: Split | None
    source: str


def calibration_images(spec: DataSpec, folder: Path, summary: DatasetSummary, weights: Weights) -> CalibrationImages:
    """Return evenly spaced training images and all validation images; fall back to the samples in the weights file.

    Args:
        folder: As for `nas.data.load_dataset.load_data`.
        summary: Summary that the study recorded of its data set; images that do not match it are not used.
    """
    samples: Pixels = weights.sample_images.numpy()
    try:
        data = load_data(spec, folder)
    except DataError as error:
        reason = str(error).splitlines()[0]
    else:
        changes = dataset_differences(data, summary)
        if not changes:
            indices = torch.linspace(0, len(data.train) - 1, min(CALIBRATION_IMAGES, len(data.train))).long()
            images: Pixels = data.train.images[indices].numpy()
            return CalibrationImages(images, data.validation, f"{len(images)} training {summary.unit}s")
        reason = f"the images have changed, {changes[0]}"
    return CalibrationImages(samples, None, f"the {len(samples)} {summary.unit}s that its weights came with ({reason})")
