"""Evaluation of a network on a split: scores, logits and features.

Dimensions: N images, C channels, H and W pixels, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.data.labelled_images import Split
from nas.data.sampling.batches import sequential_batches
from nas.networks.network_interface import Network
from nas.results.metrics import Scores
from nas.training.classification_metrics import classification_scores, confusion_matrix
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.training_callback import NoCallback, TrainingCallback
from nas.training.training_inputs import TrainingTask

_NO_CALLBACK = NoCallback()


@torch.inference_mode()
def evaluate(
    network: nn.Module,
    split: Split,
    task: TrainingTask,
    compute: ComputeDevice,
    callback: TrainingCallback = _NO_CALLBACK,
) -> tuple[Scores, float]:
    """Compute the scores of a split and its mean cross entropy."""
    network.eval()
    num_classes = len(task.classes)
    confusion_KK = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=compute.device)
    total_loss = torch.zeros((), device=compute.device)
    for inputs_NCHW, labels_N in _inputs(network, split, task, callback):
        with compute.autocast():
            logits_NK = network(inputs_NCHW)
        total_loss += functional.cross_entropy(logits_NK.float(), labels_N, reduction="sum")
        confusion_KK += confusion_matrix(labels_N, logits_NK.argmax(1), num_classes)
    return classification_scores(confusion_KK, task.classes, task.score), float(total_loss) / len(split)


@torch.inference_mode()
def predict_logits(
    network: nn.Module,
    split: Split,
    task: TrainingTask,
    compute: ComputeDevice,
    callback: TrainingCallback = _NO_CALLBACK,
) -> Tensor:
    """Compute the logits of every image of a split: float32 [N, K], on the device."""
    network.eval()
    logits = []
    for inputs_NCHW, _ in _inputs(network, split, task, callback):
        with compute.autocast():
            logits.append(network(inputs_NCHW).float())
    return torch.cat(logits)


@torch.no_grad()
def extract_features(
    network: Network,
    split: Split,
    task: TrainingTask,
    compute: ComputeDevice,
    callback: TrainingCallback = _NO_CALLBACK,
) -> Tensor:
    """Compute the classifier's input for every image of a split, not augmented: float32 [N, D], on the device."""
    network.eval()
    features = []
    for inputs_NCHW, _ in _inputs(network, split, task, callback):
        with compute.autocast():
            features.append(network.features(inputs_NCHW).float())
    return torch.cat(features)


def _inputs(
    network: nn.Module, split: Split, task: TrainingTask, callback: TrainingCallback
) -> Iterator[tuple[Tensor, Tensor]]:
    batch_size = network.evaluation_batch_size if isinstance(network, Network) else Network.evaluation_batch_size
    for images_NCHW, labels_N in sequential_batches(split, batch_size):
        callback.keep_alive()
        yield task.normalization(images_NCHW).contiguous(memory_format=torch.channels_last), labels_N
