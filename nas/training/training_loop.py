"""Training loop: epochs of training steps on device tensors, each followed by an evaluation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from nas.data.sampling.batches import Batches
from nas.data.sampling.samplers import Sampler
from nas.results.learning_curve import EpochProgress, EpochRecord
from nas.space.recipe import Recipe
from nas.training.checkpoints.checkpoint_file import CheckpointError
from nas.training.checkpoints.training_state import (
    TrainingState,
    optimizer_state,
    random_state,
    restore_optimizer,
    restore_random,
)
from nas.training.evaluation import evaluate
from nas.training.execution.device_and_precision import ComputeDevice
from nas.training.execution.run_ahead_limit import RunAheadLimit
from nas.training.optimization.best_weights import BestWeights
from nas.training.optimization.lookahead import Lookahead
from nas.training.optimization.optimizers_and_schedules import LearningRateSchedule
from nas.training.training_callback import NoCallback, TrainingCallback
from nas.training.training_inputs import TrainingPlan, TrainingTask
from nas.training.training_progress import TrainingProgress
from nas.training.training_step import TrainingStep

_STEPS_BETWEEN_CHECKS = 32
_EVALUATION_SHARE = 1 / 3
"""Time of an evaluated image as a share of a trained one, until an evaluation was timed."""
_NO_CALLBACK = NoCallback()


class Diverged(Exception):  # noqa: N818 - an event, not an error
    """Raised when the loss is not finite."""


@dataclass(frozen=True)
class TrainingResult:
    """Result of a finished training loop.

    Attributes:
        kept_epoch: Epoch, counted from 1, of the weights that the network has now.
    """

    curve: tuple[EpochRecord, ...]
    kept_epoch: int
    seconds: float


class TrainingLoop:
    """Training of one network, in place.

    Args:
        network: Maps float32 images [N, C, H, W] to logits [N, K]; must be on the device.
        sampler: Sampler of the training images of each epoch.
        callback: Called after each step and during evaluation; an exception that it raises ends the training.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        task: TrainingTask,
        plan: TrainingPlan,
        sampler: Sampler,
        compute: ComputeDevice,
        callback: TrainingCallback = _NO_CALLBACK,
    ) -> None:
        torch.manual_seed(plan.seed)
        self._network = network.to(memory_format=torch.channels_last)
        self._recipe, self._task, self._plan, self._compute, self._callback = recipe, task, plan, compute, callback
        self._batches = Batches(sampler, recipe.batch_size, compute.device)
        self._step = TrainingStep(network, recipe, task, plan, compute)
        total_steps = plan.epochs * self._batches.num_batches
        self._schedule = LearningRateSchedule(recipe, self._step.optimizer, total_steps)
        k = recipe.lookahead_steps
        self._lookahead = Lookahead(network, k, total_steps) if k > 0 else None
        self._best = BestWeights(network) if recipe.early_stopping_patience > 0 and plan.choices is None else None
        self._run_ahead = RunAheadLimit(compute.device)
        loss_buffer = torch.zeros(self._batches.num_batches, device=compute.device)
        self._progress = TrainingProgress(loss_buffer, micro_batches=plan.micro_batches)
        self._seconds_per_evaluation = 0.0
        self._capture_failure_reported = False

    @property
    def micro_batches(self) -> int:
        """Maximum number of micro-batches per batch, including earlier processes of a resumed training."""
        return self._progress.micro_batches

    @property
    def num_steps(self) -> int:
        """Number of steps since the training began."""
        return len(self._progress.curve) * self._batches.num_batches + self._progress.steps_of_epoch

    @property
    def epochs_done(self) -> int:
        """Number of completed epochs since the training began."""
        return len(self._progress.curve)

    def state(self) -> TrainingState:
        """Complete state between two steps, for resuming in this or another process."""
        state = TrainingState()
        state.add_part("network", TrainingState(dict(self._network.state_dict())))
        state.add_part("optimizer", optimizer_state(self._step.optimizer))
        state.add_part("schedule", self._schedule.state())
        state.add_part("random", random_state(self._compute.device, self._step.generator))
        state.add_part("progress", self._progress.state(self._compute.precision_name))
        if self._step.average is not None:
            state.add_part("average", self._step.average.state())
        if self._lookahead is not None:
            state.add_part("lookahead", self._lookahead.state())
        if self._best is not None:
            state.add_part("best", self._best.state())
        return state

    @property
    def capture_failed(self) -> bool:
        """True if a GPU trains with eager steps because they could not be captured."""
        return self._step.capture_failure is not None

    def load(self, state: TrainingState) -> None:
        """Restore a state returned by `state`, of a training with the same network, recipe and plan.

        Raises:
            CheckpointError: The state does not fit, for example after an upgrade of torch or of nas.
        """
        try:
            self._restore(state)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"a checkpoint that does not fit ({error!r:.200})") from error

    def _restore(self, state: TrainingState) -> None:
        self._step.release_graphs()
        self._network.load_state_dict(state.part("network").tensors)
        restore_optimizer(self._step.optimizer, state.part("optimizer"))
        self._schedule.load(state.part("schedule"))
        restore_random(self._compute.device, self._step.generator, state.part("random"))
        self._progress.load(state.part("progress"))
        if self._step.average is not None:
            self._step.average.load(state.part("average"))
        if self._lookahead is not None:
            self._lookahead.load(state.part("lookahead"))
        if self._best is not None:
            self._best.load(state.part("best"))

    def run(self, on_epoch: Callable[[EpochRecord], None]) -> TrainingResult:
        """Train until the end of the plan, convergence or early stopping.

        Args:
            on_epoch: Called after each epoch; an exception that it raises ends the training.

        Raises:
            Diverged: A loss is not finite.
        """
        curve = self._progress.curve
        with self._compute.stream_context():
            try:
                while not self._is_finished():
                    self._run_epoch(len(curve) + 1)
                    on_epoch(curve[-1])
            finally:
                self._step.release_graphs()
        if self._best is not None:
            self._best.restore()
            kept_epoch = len(curve) - self._best.epochs_without_improvement
            return TrainingResult(tuple(curve), kept_epoch, self._progress.seconds)
        if self._step.average is not None:
            self._step.average.copy_to_network()
        return TrainingResult(tuple(curve), len(curve), self._progress.seconds)

    def _is_finished(self) -> bool:
        is_last = len(self._progress.curve) >= self._plan.last_epoch
        return is_last or self._is_patience_exhausted() or self._has_converged()

    def _is_patience_exhausted(self) -> bool:
        return self._best is not None and self._best.epochs_without_improvement >= self._recipe.early_stopping_patience

    def _has_converged(self) -> bool:
        """True if the training loss changed by less than the tolerance; read from the curve, which checkpoints hold."""
        curve, tolerance = self._progress.curve, self._recipe.convergence_tolerance
        if tolerance == 0.0 or self._plan.is_length_chosen or len(curve) < 2:
            return False
        return abs(curve[-1].train_loss - curve[-2].train_loss) < tolerance

    def _run_epoch(self, epoch: int) -> None:
        """Train for one epoch and evaluate; averaged weights, if any, are the ones evaluated and kept."""
        progress = self._progress
        with progress.timed():
            self._step.begin_epoch((epoch - 1) / self._plan.epochs, epoch)
            train_loss, images_per_second = self._train_epoch(epoch)
            _check_finite(train_loss, f"training loss of epoch {epoch}")
            evaluation_started = time.perf_counter()
            with self._step.average.applied() if self._step.average is not None else nullcontext():
                scores, validation_loss = evaluate(
                    self._network, self._task.validation, self._task, self._compute, self._callback
                )
                # The last step of the epoch may have made the weights non-finite.
                _check_finite(validation_loss, f"validation loss of epoch {epoch}")
                if self._best is not None:
                    self._best.update(scores.objective)
            self._seconds_per_evaluation = time.perf_counter() - evaluation_started
            self._schedule.after_epoch(validation_loss)
        progress.end_epoch(
            EpochRecord(
                epoch, train_loss, validation_loss, scores.f1_macro, scores.accuracy, images_per_second,
                progress.seconds, scores.objective_score,
            )
        )  # fmt: skip

    def _train_epoch(self, epoch: int) -> tuple[float, float]:
        """Train the remaining steps of an epoch; return its mean loss and the images per second of these steps."""
        self._network.train()
        progress = self._progress
        started, num_images, first_step = time.perf_counter(), 0, progress.steps_of_epoch
        for draws in self._batches.epoch(epoch - 1, first=progress.steps_of_epoch):
            progress.record_step(self._step(draws))
            if self._step.capture_failure is not None and not self._capture_failure_reported:
                self._capture_failure_reported = True
                self._callback.notify(f"{self._step.capture_failure}; training goes on with eager steps")
            if self._lookahead is not None:
                is_last = progress.steps_of_epoch == self._batches.num_batches
                self._lookahead.after_step(self.num_steps, progress.steps_of_epoch, is_last_of_epoch=is_last)
            self._schedule.after_step()
            self._run_ahead.step_queued()
            num_images += len(draws)
            if progress.steps_of_epoch % _STEPS_BETWEEN_CHECKS == 0:
                _check_finite(float(progress.last_loss), f"loss of step {progress.steps_of_epoch} of an epoch")
            seconds = time.perf_counter() - started
            self._callback.after_step(
                self.num_steps, self.state, partial(self._epoch_progress, epoch, seconds, num_images, first_step)
            )
        # Read once: reading a value at every step would synchronise with the GPU at every step.
        mean_loss = float(progress.losses.mean())
        return mean_loss, num_images / (time.perf_counter() - started)

    def _epoch_progress(self, epoch: int, seconds: float, num_images: int, first_step: int) -> EpochProgress:
        """Progress inside an epoch of which this process trained `num_images` in so many seconds."""
        done, per_epoch = self._progress.steps_of_epoch, self._batches.num_batches
        epochs_left = self._plan.last_epoch - epoch
        steps_left = per_epoch - done + epochs_left * per_epoch
        evaluation_seconds = self._seconds_per_evaluation or (
            len(self._task.validation) * seconds / num_images * _EVALUATION_SHARE
        )
        return EpochProgress(
            epoch, self._plan.last_epoch, done, per_epoch, float(self._progress.losses.mean()), num_images / seconds,
            steps_left * seconds / (done - first_step) + (epochs_left + 1) * evaluation_seconds,
        )  # fmt: skip


def _check_finite(loss: float, description: str) -> None:
    if not math.isfinite(loss):
        raise Diverged(f"the {description} is {loss}")
