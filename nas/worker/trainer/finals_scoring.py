"""Scoring of final networks on the test images, once per network, after training.

Dimensions: N images, K classes.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from nas.data.finals_data import load_final_images
from nas.data.labelled_images import ImageData, Progress, Split
from nas.export.inference.reference_file import ReferenceFile
from nas.networks.network_interface import Network
from nas.results.metrics import Scores
from nas.results.predictions_on_test_images import Predictions
from nas.study.data_spec import DataSpec
from nas.training.classification_metrics import classification_scores, confusion_matrix
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.frozen_trunk import predict_logits_of_split
from nas.training.training_callback import TrainingCallback
from nas.training.training_inputs import TrainingTask


class FinalsScorer:
    """Test images on the device, to score the networks of finals on."""

    def __init__(self, test: Split) -> None:
        self._test = test

    def score(
        self, network: Network, task: TrainingTask, compute: ComputeDevice, *, cache: Path, progress: Progress,
        callback: TrainingCallback,
    ) -> tuple[Scores, Predictions]:  # fmt: skip
        """Return the scores on the test images, and the predictions for them.

        Args:
            cache: As in `nas.training.fit`.
            progress: As in `nas.training.fit`.

        Raises:
            TrainingPaused: By the callback.
        """
        logits_NK = predict_logits_of_split(
            network, self._test, task, compute, cache=cache, progress=progress, callback=callback
        )
        return self._scores(logits_NK, task)

    def score_file(self, file: ReferenceFile, task: TrainingTask) -> tuple[Scores, Predictions]:
        """Return the scores of a model file on the test images, and the predictions for them."""
        return self._scores(file_logits(file, self._test), task)

    def _scores(self, logits_NK: Tensor, task: TrainingTask) -> tuple[Scores, Predictions]:
        labels_N = self._test.labels
        matrix = confusion_matrix(labels_N, logits_NK.argmax(1), len(task.classes))
        predictions = Predictions(logits_NK.cpu().numpy(), labels_N.cpu().numpy())
        return classification_scores(matrix, task.classes, task.score), predictions


def file_logits(file: ReferenceFile, split: Split) -> Tensor:
    """Compute the logits of a model file for every image of a split: float32 [N, K], on the split's device."""
    return torch.from_numpy(file.logits(split.images.cpu().contiguous().numpy())).to(split.labels.device)


def load_finals(
    spec: DataSpec, folder: Path, progress: Progress, device: torch.device
) -> tuple[ImageData, Split, FinalsScorer]:
    """Return the image data of the search, the final training split and the scorer on the test images.

    Raises:
        DataError: As `nas.data.load_dataset.load_data` does.
    """
    images = load_final_images(spec, folder, progress)
    return images.search_data, images.train, FinalsScorer(images.test.to(device))
