"""The training loop: epochs of steps on tensors that live on the device, each epoch evaluated.

Dimensions: N images of a batch, C channels, H and W pixels, K classes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.data.augment import random_shift
from nas.data.batches import Batches
from nas.data.images import Split
from nas.data.normalization import Normalization
from nas.genome import Recipe
from nas.outcome import EpochRecord, Scores
from nas.training.device import Compute
from nas.training.losses import bind_loss
from nas.training.metrics import confusion_matrix, scores_of
from nas.training.optimization import make_optimizer, make_schedule

EVALUATION_BATCH = 512
_STEPS_BETWEEN_CHECKS = 32


class Diverged(Exception):  # noqa: N818 - it names what happened
    """The loss is not finite."""


@dataclass(frozen=True)
class Task:
    """What is learned: splits on the device, and how pixels become network input."""

    train: Split
    validation: Split
    classes: tuple[str, ...]
    normalization: Normalization


@dataclass(frozen=True)
class Trained:
    """A finished training: the scores of its last epoch and the whole curve."""

    scores: Scores
    curve: tuple[EpochRecord, ...]
    seconds: float


def train(
    network: nn.Module,
    recipe: Recipe,
    task: Task,
    *,
    epochs: int,
    seed: int,
    compute: Compute,
    on_epoch: Callable[[EpochRecord], None],
) -> Trained:
    """Train a network in place.

    Args:
        network: Float32 images [N, C, H, W] to logits [N, K]; on the device already.
        seed: Of shuffling, augmentation, dropout and noise.
        on_epoch: Told after each epoch; what it raises ends the training.

    Raises:
        Diverged: A loss is not finite.
    """
    torch.manual_seed(seed)
    generator = torch.Generator(compute.device).manual_seed(seed)
    network.to(memory_format=torch.channels_last)
    batches = Batches(task.train, recipe.batch_size, compute.device, seed)
    optimizer = make_optimizer(recipe, network)
    schedule = make_schedule(recipe, optimizer, epochs * batches.num_shuffled)
    counts_K = torch.bincount(task.train.labels, minlength=len(task.classes))
    loss_function = bind_loss(recipe.loss, counts_K)

    def step(images_NCHW: Tensor, labels_N: Tensor) -> Tensor:
        shifted = random_shift(images_NCHW, recipe.shift_pixels, generator)
        inputs = task.normalization(shifted).contiguous(memory_format=torch.channels_last)
        with compute.autocast():
            logits_NK = network(inputs)
        loss = loss_function(logits_NK.float(), labels_N)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if recipe.gradient_clip > 0.0:
            nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_clip)
        optimizer.step()
        schedule.step()
        return loss.detach()

    curve: list[EpochRecord] = []
    started = time.perf_counter()
    for epoch in range(1, epochs + 1):
        train_loss, images_per_second = _run_epoch(network, batches.shuffled(epoch - 1), step)
        _require_finite(train_loss, f"training loss of epoch {epoch}")
        scores, validation_loss = evaluate(network, task.validation, task, compute)
        # The epoch's last step may be the one that spoils the weights.
        _require_finite(validation_loss, f"validation loss of epoch {epoch}")
        seconds = time.perf_counter() - started
        record = EpochRecord(
            epoch, train_loss, validation_loss, scores.f1_macro, scores.accuracy, images_per_second, seconds
        )
        curve.append(record)
        on_epoch(record)
    return Trained(scores, tuple(curve), time.perf_counter() - started)


def _run_epoch(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    step: Callable[[Tensor, Tensor], Tensor],
) -> tuple[float, float]:
    """One pass over the training images; returns the mean loss of its steps and the images per second."""
    network.train()
    started = time.perf_counter()
    losses, num_images = [], 0
    for number, (images_NCHW, labels_N) in enumerate(batches, 1):
        losses.append(step(images_NCHW, labels_N))
        num_images += len(labels_N)
        if number % _STEPS_BETWEEN_CHECKS == 0:
            _require_finite(float(losses[-1]), f"loss of step {number} of an epoch")
    # Read seldom: a value read every step would make a GPU wait every step.
    mean_loss = float(torch.stack(losses).mean())
    return mean_loss, num_images / (time.perf_counter() - started)


def _require_finite(loss: float, what: str) -> None:
    if not math.isfinite(loss):
        raise Diverged(f"the {what} is {loss}")


@torch.inference_mode()
def evaluate(network: nn.Module, split: Split, task: Task, compute: Compute) -> tuple[Scores, float]:
    """Scores of a split, and its mean cross entropy."""
    network.eval()
    num_classes = len(task.classes)
    confusion_KK = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=compute.device)
    total_loss = torch.zeros((), device=compute.device)
    for images_NCHW, labels_N in Batches(split, EVALUATION_BATCH, compute.device).in_order():
        inputs = task.normalization(images_NCHW).contiguous(memory_format=torch.channels_last)
        with compute.autocast():
            logits_NK = network(inputs)
        total_loss += functional.cross_entropy(logits_NK.float(), labels_N, reduction="sum")
        confusion_KK += confusion_matrix(labels_N, logits_NK.argmax(1), num_classes)
    return scores_of(confusion_KK, task.classes), float(total_loss) / len(split.labels)
