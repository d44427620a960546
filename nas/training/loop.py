"""The training loop: epochs of steps on tensors that live on the device, each epoch evaluated.

Dimensions: N images of a batch, C channels, H and W pixels, D features, K classes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.data.augment import Augmentation
from nas.data.batches import Batches
from nas.data.normalization import MAX_PIXEL
from nas.data.sampling import Sampler
from nas.outcome import EpochRecord
from nas.recipe import Recipe
from nas.training.averaging import BestWeights, WeightAverage
from nas.training.device import Compute
from nas.training.evaluation import evaluate
from nas.training.losses import LossFunction, bind_loss
from nas.training.optimization import Schedule, make_optimizer
from nas.training.orthogonality import orthogonality_penalty
from nas.training.task import Plan, Task

_STEPS_BETWEEN_CHECKS = 32


class Diverged(Exception):  # noqa: N818 - it names what happened
    """The loss is not finite."""


@dataclass(frozen=True)
class Trained:
    """A finished training: its curve, and the epoch (from 1) whose weights the network has now."""

    curve: tuple[EpochRecord, ...]
    kept_epoch: int


class Training:
    """One network being trained in place.

    Args:
        network: Float32 images [N, C, H, W] to logits [N, K]; on the device already.
        sampler: Which training images an epoch shows.
    """

    def __init__(
        self, network: nn.Module, recipe: Recipe, task: Task, plan: Plan, sampler: Sampler, compute: Compute
    ) -> None:
        torch.manual_seed(plan.seed)
        self._network = network.to(memory_format=torch.channels_last)
        self._recipe, self._task, self._plan, self._compute = recipe, task, plan, compute
        self._batches = Batches(task.train, sampler, recipe.batch_size, compute.device)
        self._augmentation = Augmentation(
            recipe.augmentation,
            task.normalization.mean.flatten() * MAX_PIXEL,
            torch.Generator(compute.device).manual_seed(plan.seed),
        )
        self._optimizer = make_optimizer(recipe, network)
        self._schedule = Schedule(recipe, self._optimizer, plan.epochs * self._batches.num_batches)
        self._average = WeightAverage(network, recipe.ema_decay) if recipe.ema_decay > 0.0 else None
        self._best = BestWeights(network) if recipe.early_stopping_patience > 0 else None
        self._counts_K = task.counts_K

    def run(self, on_epoch: Callable[[EpochRecord], None]) -> Trained:
        """Train to the end of the plan, or until patience is lost.

        Args:
            on_epoch: Told after each epoch; what it raises ends the training.

        Raises:
            Diverged: A loss is not finite.
        """
        curve: list[EpochRecord] = []
        started = time.perf_counter()
        for epoch in range(1, self._plan.epochs + 1):
            record = self._epoch(epoch, started)
            curve.append(record)
            on_epoch(record)
            if self._best is not None and self._best.epochs_without_gain >= self._recipe.early_stopping_patience:
                break
        if self._best is not None:
            self._best.restore()
            return Trained(tuple(curve), len(curve) - self._best.epochs_without_gain)
        if self._average is not None:
            self._average.put_in()
        return Trained(tuple(curve), len(curve))

    def _epoch(self, epoch: int, started: float) -> EpochRecord:
        """Train for one epoch and evaluate; with averaged weights, it is those that are evaluated and kept."""
        loss_function = bind_loss(
            self._recipe.loss, self._recipe.imbalance, self._counts_K, (epoch - 1) / self._plan.epochs
        )
        train_loss, images_per_second = self._pass(epoch, loss_function)
        _require_finite(train_loss, f"training loss of epoch {epoch}")
        with self._average.applied() if self._average is not None else nullcontext():
            scores, validation_loss = evaluate(self._network, self._task.validation, self._task, self._compute)
            # The epoch's last step may be the one that spoils the weights.
            _require_finite(validation_loss, f"validation loss of epoch {epoch}")
            if self._best is not None:
                self._best.note(scores.f1_macro)
        self._schedule.after_epoch(validation_loss)
        seconds = time.perf_counter() - started
        return EpochRecord(
            epoch, train_loss, validation_loss, scores.f1_macro, scores.accuracy, images_per_second, seconds
        )

    def _pass(self, epoch: int, loss_function: LossFunction) -> tuple[float, float]:
        """One pass over the epoch's images; returns the mean loss of its steps and the images per second."""
        self._network.train()
        started = time.perf_counter()
        losses, num_images = [], 0
        for number, (images_NCHW, labels_N) in enumerate(self._batches.epoch(epoch - 1), 1):
            losses.append(self._step(images_NCHW, labels_N, loss_function))
            num_images += len(labels_N)
            if number % _STEPS_BETWEEN_CHECKS == 0:
                _require_finite(float(losses[-1]), f"loss of step {number} of an epoch")
        # Read seldom: a value read every step would make a GPU wait every step.
        mean_loss = float(torch.stack(losses).mean())
        return mean_loss, num_images / (time.perf_counter() - started)

    def _step(self, images_NCHW: Tensor, labels_N: Tensor, loss_function: LossFunction) -> Tensor:
        """One step of the optimiser; returns the loss with its penalties."""
        loss = self._loss(images_NCHW, labels_N, loss_function)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self._recipe.gradient_clip > 0.0:
            nn.utils.clip_grad_norm_(self._network.parameters(), self._recipe.gradient_clip)
        self._optimizer.step()
        self._schedule.after_step()
        if self._average is not None:
            self._average.update()
        return loss.detach()

    def _loss(self, images_NCHW: Tensor, labels_N: Tensor, loss_function: LossFunction) -> Tensor:
        shown = self._augmentation(images_NCHW, labels_N)
        inputs_NCHW = self._task.normalization(shown.images).contiguous(memory_format=torch.channels_last)
        with self._compute.autocast():
            logits_NK = self._network(inputs_NCHW)
        losses_N = loss_function(logits_NK, shown.labels)
        if shown.other_labels is not None and shown.weight is not None:
            # An image mixed of two is a share of each one's loss, whatever the loss.
            losses_N = shown.weight * losses_N + (1 - shown.weight) * loss_function(logits_NK, shown.other_labels)
        loss = losses_N.mean()
        if self._recipe.orthogonality.name != "none":
            penalty = orthogonality_penalty(self._network, self._recipe.orthogonality.name)
            loss = loss + self._recipe.orthogonality.parameter("orthogonality_weight") * penalty
        return loss


def _require_finite(loss: float, what: str) -> None:
    if not math.isfinite(loss):
        raise Diverged(f"the {what} is {loss}")
