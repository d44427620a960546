"""One step of the optimiser, from the numbers of the images that it shows to the weights that it leaves.

Dimensions: N images, C channels, H and W pixels, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.data.augmentation.batch_augmentation import Augmentation, Augmented
from nas.data.normalization import MAX_PIXEL
from nas.data.sampling.batches import gather
from nas.data.sampling.class_balanced_sampling import Draws
from nas.networks.families.pair_network import PairNetwork
from nas.space.recipe import Recipe
from nas.training.execution.cuda_graph_capture import CapturedStep
from nas.training.execution.device_and_precision import Compute
from nas.training.optimization.cuda_graph_optimizers import DeviceAdamW, DeviceSGD
from nas.training.optimization.losses import LossFunction, bind_loss, class_weight_beta
from nas.training.optimization.optimizers_and_schedules import make_optimizer
from nas.training.optimization.orthogonality import orthogonality_penalty
from nas.training.optimization.weight_averaging import WeightAverage
from nas.training.training_task import Plan, Task


class Step:
    """Everything that happens in a step, and what it changes beside the network.

    Images are gathered from the split on the device, augmented, normalised and shown; losses and penalties are added
    up over micro-batches; gradients are clipped; optimiser and average follow. Nothing in it waits for the device, no
    shape depends on a value, and what the host decides anew for each step lies on the device before it begins. So a
    GPU can capture it whole, with every option of a recipe.

    Args:
        network: In training mode whenever a step is taken.

    Attributes:
        optimizer: Its groups' learning rates are read at each step.
        average: Of the weights; None where the recipe wants none.
        generator: Of augmentation.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, task: Task, plan: Plan, compute: Compute) -> None:
        self._network, self._recipe, self._compute = network, recipe, compute
        self._train, self._normalization = task.train.to(compute.device), task.normalization
        self._counts_K, self._micro_batches = task.counts_K, plan.micro_batches
        self.generator = torch.Generator(compute.device).manual_seed(plan.seed)
        mean_pixel_C = task.normalization.mean.flatten() * MAX_PIXEL
        of_pairs = task.train.parts is not None
        self._augmentation = Augmentation(recipe.augmentation, mean_pixel_C, self.generator, of_pairs=of_pairs)
        self.optimizer = make_optimizer(recipe, network)
        self.average = WeightAverage(network, recipe.ema_decay) if recipe.ema_decay > 0.0 else None
        self._captured: dict[int, CapturedStep] = {}
        self._beta: float | None = None
        self._loss_function: LossFunction | None = None

    def begin_epoch(self, share_done: float) -> None:
        """Use the loss that the recipe names once such a share of the epochs is done."""
        beta = class_weight_beta(self._recipe.loss, self._recipe.imbalance, share_done)
        if self._loss_function is None or beta != self._beta:
            self.release()
            self._beta = beta
            self._loss_function = bind_loss(self._recipe.loss, self._recipe.imbalance, self._counts_K, share_done)

    def __call__(self, draws: Draws) -> Tensor:
        """Show what was drawn.

        Args:
            draws: On the device.

        Returns:
            The loss with its penalties, a scalar on the device; the next step may overwrite it.
        """
        if isinstance(self.optimizer, DeviceSGD | DeviceAdamW):
            self.optimizer.write_rates()
        if self.average is not None:
            self.average.write_weight()
        if not self._compute.captures:
            return self._taken(draws)
        # An epoch's last batch may be smaller than the others; it has a graph of its own.
        if len(draws) not in self._captured:
            self._captured[len(draws)] = CapturedStep(self._taken, self.generator, self._compute.stream)
        return self._captured[len(draws)](draws)

    def release(self) -> None:
        """Drop what was captured, as must be done when tensors were replaced that a step reads, and at the end."""
        if self._captured:
            self._compute.stream.synchronize()
            # Gradients lie in a graph's memory.
            self.optimizer.zero_grad(set_to_none=True)
            self._captured.clear()

    def _taken(self, draws: Draws) -> Tensor:
        batch = gather(self._train, draws)
        shown = self._augmentation(batch.images, batch.labels, batch.parts)
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=batch.labels.device)
        for part, share in shown.split(self._micro_batches):
            loss = share * self._loss(part)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        if self._recipe.gradient_clip > 0.0:
            nn.utils.clip_grad_norm_(self._network.parameters(), self._recipe.gradient_clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.blend()
        return total

    def _loss(self, shown: Augmented) -> Tensor:
        assert self._loss_function is not None, "an epoch is begun first"
        inputs_NCHW = self._normalization(shown.images).contiguous(memory_format=torch.channels_last)
        part_logits_N2K: Tensor | None = None
        with self._compute.autocast():
            if self._recipe.auxiliary_weight > 0.0:
                assert isinstance(self._network, PairNetwork), "a genome with an auxiliary loss has its classifiers"
                logits_NK, part_logits_N2K = self._network.with_parts(inputs_NCHW)
            else:
                logits_NK = self._network(inputs_NCHW)
        losses_N = self._loss_function(logits_NK, shown.labels)
        if shown.other_labels is not None and shown.weight is not None:
            # An image mixed of two is a share of each one's loss, whatever the loss.
            other_losses_N = self._loss_function(logits_NK, shown.other_labels)
            losses_N = shown.weight * losses_N + (1 - shown.weight) * other_losses_N
        loss = losses_N.mean()
        if part_logits_N2K is not None:
            assert shown.parts is not None, "a recipe with an auxiliary loss blends no pairs"
            auxiliary = functional.cross_entropy(part_logits_N2K.float().flatten(0, 1), shown.parts.flatten())
            loss = torch.lerp(loss, auxiliary, self._recipe.auxiliary_weight)
        if self._recipe.orthogonality.name != "none":
            penalty = orthogonality_penalty(self._network, self._recipe.orthogonality.name)
            loss = loss + self._recipe.orthogonality.parameter("orthogonality_weight") * penalty
        return loss
