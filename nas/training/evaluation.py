"""Running a network over a split in evaluation mode: its scores, and its features.

Dimensions: N images, C channels, H and W pixels, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.data.labelled_images import Split
from nas.data.sampling.batches import in_order
from nas.networks.network_interface import Network
from nas.results.metrics import Scores
from nas.training.classification_metrics import confusion_matrix, scores_of
from nas.training.execution.device_and_precision import Compute
from nas.training.training_callback import NoCallback, TrainingCallback
from nas.training.training_task import Task

_UNWATCHED = NoCallback()


@torch.inference_mode()
def evaluate(
    network: nn.Module, split: Split, task: Task, compute: Compute, watch: TrainingCallback = _UNWATCHED
) -> tuple[Scores, float]:
    """Scores of a split, and its mean cross entropy."""
    network.eval()
    num_classes = len(task.classes)
    confusion_KK = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=compute.device)
    total_loss = torch.zeros((), device=compute.device)
    for inputs_NCHW, labels_N in _inputs(network, split, task, watch):
        with compute.autocast():
            logits_NK = network(inputs_NCHW)
        total_loss += functional.cross_entropy(logits_NK.float(), labels_N, reduction="sum")
        confusion_KK += confusion_matrix(labels_N, logits_NK.argmax(1), num_classes)
    return scores_of(confusion_KK, task.classes), float(total_loss) / len(split)


@torch.inference_mode()
def predict_logits(
    network: nn.Module, split: Split, task: Task, compute: Compute, watch: TrainingCallback = _UNWATCHED
) -> Tensor:
    """Logits of each image of a split: float32 [N, K], on the device."""
    network.eval()
    logits = []
    for inputs_NCHW, _ in _inputs(network, split, task, watch):
        with compute.autocast():
            logits.append(network(inputs_NCHW).float())
    return torch.cat(logits)


@torch.no_grad()
def extract_features(
    network: Network, split: Split, task: Task, compute: Compute, watch: TrainingCallback = _UNWATCHED
) -> Tensor:
    """The classifier's input for each image of a split, not augmented: float32 [N, D], on the device."""
    network.eval()
    features = []
    for inputs_NCHW, _ in _inputs(network, split, task, watch):
        with compute.autocast():
            features.append(network.features(inputs_NCHW).float())
    return torch.cat(features)


def _inputs(network: nn.Module, split: Split, task: Task, watch: TrainingCallback) -> Iterator[tuple[Tensor, Tensor]]:
    batch_size = network.evaluation_batch if isinstance(network, Network) else Network.evaluation_batch
    for images_NCHW, labels_N in in_order(split, batch_size):
        watch.alive()
        yield task.normalization(images_NCHW).contiguous(memory_format=torch.channels_last), labels_N
