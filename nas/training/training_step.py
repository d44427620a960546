"""Training step: forward and backward pass over one batch and an optimiser update.

Dimensions: N images, C channels, H and W pixels, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.data.augmentation.alternating_flip import AlternatingFlip
from nas.data.augmentation.batch_augmentation import Augmentation, AugmentedBatch
from nas.data.normalization import MAX_PIXEL
from nas.data.sampling.batches import gather
from nas.data.sampling.samplers import Draws
from nas.networks.elastic.elastic_network import ElasticNetwork
from nas.networks.families.pair_network import PairNetwork
from nas.space.augmentation_policy_parser import flips_alternately
from nas.space.recipe import Recipe
from nas.training.execution.cuda_graph_capture import CapturedStep, CaptureError
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.optimization.cuda_graph_optimizers import DeviceOptimizer
from nas.training.optimization.distillation import distillation_loss
from nas.training.optimization.losses import LossFunction, bind_loss, class_weight_beta
from nas.training.optimization.optimizers_and_schedules import make_optimizer
from nas.training.optimization.orthogonality import orthogonality_penalty
from nas.training.optimization.weight_averaging import WeightAverage
from nas.training.shared_weights.sandwich_rule import SandwichRule
from nas.training.training_inputs import TrainingPlan, TrainingTask


class TrainingStep:
    """Training step with its optimiser, weight average and random generator.

    Images are gathered from the split on the device, augmented, normalised and passed through the network. Losses and
    penalties are accumulated over micro-batches, gradients are clipped, then optimiser and weight average are updated.
    No operation waits for the device, no shape depends on a value, and values that the host sets per step are written
    to the device before the step. A GPU can therefore capture the whole step, with every option of a recipe.

    Args:
        network: Must be in training mode at every step.

    Attributes:
        optimizer: The learning rates of its groups are read at each step.
        average: Moving average of the weights; None if the recipe has none.
        generator: Random generator of augmentation.
        capture_failure: Reason why a GPU trains with eager steps; None if the steps are or may be captured.
    """

    def __init__(
        self, network: nn.Module, recipe: Recipe, task: TrainingTask, plan: TrainingPlan, compute: ComputeDevice
    ) -> None:
        self._network, self._recipe, self._compute = network, recipe, compute
        self._train, self._normalization = task.train.to(compute.device), task.normalization
        self._counts_K, self._micro_batches = task.counts_K, plan.micro_batches
        self.generator = torch.Generator(compute.device).manual_seed(plan.seed)
        mean_pixel_C = task.normalization.mean.flatten() * MAX_PIXEL
        is_pair = task.train.parts is not None
        self._flip: AlternatingFlip | None = None
        if flips_alternately(recipe.augmentation):
            self._flip = AlternatingFlip(len(self._train), plan.seed, compute.device, 2 if is_pair else 1)
        self._augmentation = Augmentation(
            recipe.augmentation, mean_pixel_C, self.generator, is_pair=is_pair, alternating_flip=self._flip
        )
        self.optimizer = make_optimizer(recipe, network)
        self.average = WeightAverage(network, recipe.ema_decay) if recipe.ema_decay > 0.0 else None
        self._captured_steps: dict[int, CapturedStep] = {}
        self._beta: float | None = None
        self.capture_failure: str | None = None
        self._loss_function: LossFunction | None = None
        self._sandwich: SandwichRule | None = None
        if isinstance(network, ElasticNetwork):
            self._sandwich = SandwichRule(network, plan.sandwich, compute, seed=plan.seed)
        self._teacher = task.teacher if recipe.distillation.needs_teacher else None
        if recipe.distillation.needs_teacher and self._teacher is None:
            raise ValueError("a recipe with distillation needs a teacher in its task")

    def begin_epoch(self, share_done: float, epoch: int = 1) -> None:
        """Bind the recipe's loss for an epoch, counted from 1, that begins once `share_done` of all epochs are done."""
        if self._flip is not None:
            self._flip.begin_epoch(epoch)
        if self._sandwich is not None:
            self._sandwich.begin_epoch(epoch)
        beta = class_weight_beta(self._recipe.loss, self._recipe.imbalance, share_done)
        if self._loss_function is None or beta != self._beta:
            self.release_graphs()
            self._beta = beta
            self._loss_function = bind_loss(self._recipe.loss, self._recipe.imbalance, self._counts_K, share_done)

    def __call__(self, draws: Draws) -> Tensor:
        """Train on one batch.

        Args:
            draws: Indices of the batch, on the device.

        Returns:
            The loss with its penalties, a scalar on the device; the next step may overwrite it.
        """
        if isinstance(self.optimizer, DeviceOptimizer):
            self.optimizer.write_rates()
        if self.average is not None:
            self.average.write_weight()
        if not self._compute.cuda_graphs:
            return self._run_step(draws)
        # The last batch of an epoch may be smaller than the others, so there is one graph per batch size.
        if len(draws) not in self._captured_steps:
            self._captured_steps[len(draws)] = CapturedStep(self._run_step, self.generator, self._compute.stream)
        try:
            return self._captured_steps[len(draws)](draws)
        except CaptureError as error:
            # The eager step needs no capture. The failed one executed nothing, so this batch is trained once.
            self.release_graphs()
            self._compute, self.capture_failure = self._compute.without_cuda_graphs(), str(error)
            return self._run_step(draws)

    def release_graphs(self) -> None:
        """Drop the captured graphs: required after replacing tensors that a step reads, and after the last step."""
        if self._captured_steps:
            self._compute.stream.synchronize()
            # Gradients are stored in a graph's memory pool.
            self.optimizer.zero_grad(set_to_none=True)
            self._captured_steps.clear()

    def _run_step(self, draws: Draws) -> Tensor:
        batch = gather(self._train, draws)
        augmented = self._augmentation(batch.images, batch.labels, batch.parts, draws.first)
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=batch.labels.device)
        for part, share in augmented.split(self._micro_batches):
            inputs_NCHW = self._normalization(part.images).contiguous(memory_format=torch.channels_last)
            loss, logits_NK = self._loss(part, inputs_NCHW)
            loss = share * loss
            loss.backward()  # type: ignore[no-untyped-call]
            if self._sandwich is not None:
                self._sandwich.backward(inputs_NCHW, logits_NK, share)
            total += loss.detach()
        if self._recipe.gradient_clip > 0.0:
            nn.utils.clip_grad_norm_(self._network.parameters(), self._recipe.gradient_clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update()
        return total

    def _loss(self, augmented: AugmentedBatch, inputs_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss with its penalties, and the logits."""
        assert self._loss_function is not None, "begin_epoch must be called first"
        part_logits_N2K: Tensor | None = None
        with self._compute.autocast():
            if self._recipe.auxiliary_weight > 0.0:
                assert isinstance(self._network, PairNetwork), "an auxiliary loss requires part classifiers"
                logits_NK, part_logits_N2K = self._network.forward_with_auxiliary(inputs_NCHW)
            else:
                logits_NK = self._network(inputs_NCHW)
        losses_N = self._loss_function(logits_NK, augmented.labels)
        if augmented.other_labels is not None and augmented.weight is not None:
            # For mixed images every loss is the weighted sum over both labels.
            other_losses_N = self._loss_function(logits_NK, augmented.other_labels)
            losses_N = augmented.weight * losses_N + (1 - augmented.weight) * other_losses_N
        loss = losses_N.mean()
        if part_logits_N2K is not None:
            assert augmented.parts is not None, "a recipe with an auxiliary loss must not blend pairs"
            auxiliary = functional.cross_entropy(part_logits_N2K.float().flatten(0, 1), augmented.parts.flatten())
            loss = torch.lerp(loss, auxiliary, self._recipe.auxiliary_weight)
        if self._teacher is not None:
            distillation = self._recipe.distillation
            with self._compute.autocast():
                # It sees the images as the network does, after augmentation and mixing.
                teacher_NK = self._teacher(augmented.images)
            imitation = distillation_loss(logits_NK, teacher_NK, distillation)
            loss = torch.lerp(loss, imitation, distillation.parameter("distillation_weight"))
        if self._recipe.orthogonality.name != "none":
            penalty = orthogonality_penalty(self._network, self._recipe.orthogonality.name)
            loss = loss + self._recipe.orthogonality.parameter("orthogonality_weight") * penalty
        return loss, logits_NK
