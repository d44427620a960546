"""The test images in the trainer's hands: a network of the finals is scored on them once, when it is trained.

Dimensions: N images, K classes.
"""

from __future__ import annotations

from pathlib import Path

import torch

from nas.data.finals_data import load_final_images
from nas.data.labelled_images import ImageData, Progress, Split
from nas.networks.network_interface import Network
from nas.results.metrics import Scores
from nas.results.test_predictions import Predictions
from nas.study.data_spec import DataSpec
from nas.training.classification_metrics import confusion_matrix, scores_of
from nas.training.execution.device_and_precision import Compute
from nas.training.frozen_trunk import predict_logits_of_split
from nas.training.training_callback import TrainingCallback
from nas.training.training_task import Task


class FinalsScorer:
    """What a network of the finals is scored by."""

    def __init__(self, test: Split) -> None:
        self._test = test

    def score(
        self, network: Network, task: Task, compute: Compute, predictions: Path, *, cache: Path, progress: Progress,
        watch: TrainingCallback,
    ) -> Scores:  # fmt: skip
        """Scores on the test images; what was said of each of them is written to a file.

        Args:
            cache: As in `nas.training.fit`.
            progress: Likewise.

        Raises:
            Paused: The watch wants it; nothing is written then.
        """
        logits_NK = predict_logits_of_split(
            network, self._test, task, compute, cache=cache, progress=progress, watch=watch
        )
        labels_N = self._test.labels
        Predictions(logits_NK.cpu().numpy(), labels_N.cpu().numpy()).save(predictions)
        return scores_of(confusion_matrix(labels_N, logits_NK.argmax(1), len(task.classes)), task.classes)


def load_finals(
    spec: DataSpec, folder: Path, progress: Progress, device: torch.device
) -> tuple[ImageData, Split, FinalsScorer]:
    """The images as the search saw them, those that finals train on, and the exam.

    Raises:
        DataError: As `nas.data.load_dataset.load_data` does.
    """
    images = load_final_images(spec, folder, progress)
    return images.searched, images.train, FinalsScorer(images.test.to(device))
