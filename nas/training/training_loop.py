"""The training loop: epochs of steps on tensors that live on the device, each epoch evaluated."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn

from nas.data.sampling.batches import Batches
from nas.data.sampling.class_balanced_sampling import Sampler
from nas.results.learning_curve import EpochRecord
from nas.space.recipe import Recipe
from nas.training.checkpoints.checkpoint_file import CheckpointError
from nas.training.checkpoints.training_state import (
    State,
    optimizer_state,
    random_state,
    restore_optimizer,
    restore_random,
)
from nas.training.evaluation import evaluate
from nas.training.execution.device_and_precision import Compute
from nas.training.execution.run_ahead_limit import RunAhead
from nas.training.optimization.optimizers_and_schedules import Schedule
from nas.training.optimization.weight_averaging import BestWeights
from nas.training.training_callback import NoCallback, TrainingCallback
from nas.training.training_step import Step
from nas.training.training_task import Plan, Task

_STEPS_BETWEEN_CHECKS = 32
_UNWATCHED = NoCallback()


class Diverged(Exception):  # noqa: N818 - it names what happened
    """The loss is not finite."""


@dataclass(frozen=True)
class Trained:
    """A finished training: its curve, the epoch (from 1) whose weights the network has now, and its seconds."""

    curve: tuple[EpochRecord, ...]
    kept_epoch: int
    seconds: float


class Training:
    """One network being trained in place.

    Args:
        network: Float32 images [N, C, H, W] to logits [N, K]; on the device already.
        sampler: Which training images an epoch shows.
        watch: Told after each step, and as evaluation goes on; what it raises ends the training.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        task: Task,
        plan: Plan,
        sampler: Sampler,
        compute: Compute,
        watch: TrainingCallback = _UNWATCHED,
    ) -> None:
        torch.manual_seed(plan.seed)
        self._network = network.to(memory_format=torch.channels_last)
        self._recipe, self._task, self._plan, self._compute, self._watch = recipe, task, plan, compute, watch
        self._batches = Batches(sampler, recipe.batch_size, compute.device)
        self._step = Step(network, recipe, task, plan, compute)
        self._schedule = Schedule(recipe, self._step.optimizer, plan.epochs * self._batches.num_batches)
        self._best = BestWeights(network) if recipe.early_stopping_patience > 0 and plan.choices is None else None
        self._run_ahead = RunAhead(compute.device)
        slots = torch.zeros(self._batches.num_batches, device=compute.device)
        self._progress = _Progress(slots, micro_batches=plan.micro_batches)

    @property
    def micro_batches(self) -> int:
        """Into how many parts batches were cut, in this process or an earlier one that was paused."""
        return self._progress.micro_batches

    @property
    def num_steps(self) -> int:
        """Steps since the training began."""
        return len(self._progress.curve) * self._batches.num_batches + self._progress.steps_of_epoch

    @property
    def epochs_done(self) -> int:
        """Whole epochs since the training began."""
        return len(self._progress.curve)

    def state(self) -> State:
        """All that the training needs to go on from between two steps, in this process or another."""
        state = State()
        state.put("network", State(dict(self._network.state_dict())))
        state.put("optimizer", optimizer_state(self._step.optimizer))
        state.put("schedule", self._schedule.state())
        state.put("random", random_state(self._compute.device, self._step.generator))
        state.put("progress", self._progress.state())
        if self._step.average is not None:
            state.put("average", self._step.average.state())
        if self._best is not None:
            state.put("best", self._best.state())
        return state

    def load(self, state: State) -> None:
        """Go on from what `state` gave, of a training of the same network, recipe and plan.

        Raises:
            CheckpointError: It does not fit, as after an upgrade of torch or of this program.
        """
        try:
            self._load(state)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"a checkpoint that does not fit ({error!r:.200})") from error

    def _load(self, state: State) -> None:
        self._step.release()
        self._network.load_state_dict(state.part("network").tensors)
        restore_optimizer(self._step.optimizer, state.part("optimizer"))
        self._schedule.load(state.part("schedule"))
        restore_random(self._compute.device, self._step.generator, state.part("random"))
        self._progress.load(state.part("progress"))
        if self._step.average is not None:
            self._step.average.load(state.part("average"))
        if self._best is not None:
            self._best.load(state.part("best"))

    def run(self, on_epoch: Callable[[EpochRecord], None]) -> Trained:
        """Train to the end of the plan, or until it has converged or patience is lost.

        Args:
            on_epoch: Told after each epoch; what it raises ends the training.

        Raises:
            Diverged: A loss is not finite.
        """
        curve = self._progress.curve
        with self._compute.queueing():
            try:
                while not (len(curve) >= self._plan.last_epoch or self._is_out_of_patience() or self._has_converged()):
                    self._epoch(len(curve) + 1)
                    on_epoch(curve[-1])
            finally:
                self._step.release()
        if self._best is not None:
            self._best.restore()
            return Trained(tuple(curve), len(curve) - self._best.epochs_without_gain, self._progress.seconds)
        if self._step.average is not None:
            self._step.average.put_in()
        return Trained(tuple(curve), len(curve), self._progress.seconds)

    def _is_out_of_patience(self) -> bool:
        return self._best is not None and self._best.epochs_without_gain >= self._recipe.early_stopping_patience

    def _has_converged(self) -> bool:
        """Told by the curve, which a training that goes on from a checkpoint has too."""
        curve, tolerance = self._progress.curve, self._recipe.convergence_tolerance
        if tolerance == 0.0 or self._plan.is_length_chosen or len(curve) < 2:
            return False
        return abs(curve[-1].train_loss - curve[-2].train_loss) < tolerance

    def _epoch(self, epoch: int) -> None:
        """Train for one epoch and evaluate; with averaged weights, it is those that are evaluated and kept."""
        progress = self._progress
        with progress.timed():
            self._step.begin_epoch((epoch - 1) / self._plan.epochs)
            train_loss, images_per_second = self._pass(epoch)
            _require_finite(train_loss, f"training loss of epoch {epoch}")
            with self._step.average.applied() if self._step.average is not None else nullcontext():
                scores, validation_loss = evaluate(
                    self._network, self._task.validation, self._task, self._compute, self._watch
                )
                # The epoch's last step may be the one that spoils the weights.
                _require_finite(validation_loss, f"validation loss of epoch {epoch}")
                if self._best is not None:
                    self._best.note(scores.f1_macro)
            self._schedule.after_epoch(validation_loss)
        progress.end_epoch(
            EpochRecord(
                epoch, train_loss, validation_loss, scores.f1_macro, scores.accuracy, images_per_second,
                progress.seconds,
            )
        )  # fmt: skip

    def _pass(self, epoch: int) -> tuple[float, float]:
        """What is left of an epoch; returns the mean loss of its steps and the images per second of this part."""
        self._network.train()
        progress = self._progress
        started, num_images = time.perf_counter(), 0
        for draws in self._batches.epoch(epoch - 1, first=progress.steps_of_epoch):
            progress.note_step(self._step(draws))
            self._schedule.after_step()
            self._run_ahead.step_queued()
            num_images += len(draws)
            if progress.steps_of_epoch % _STEPS_BETWEEN_CHECKS == 0:
                _require_finite(float(progress.last_loss), f"loss of step {progress.steps_of_epoch} of an epoch")
            self._watch.after_step(self.num_steps, self.state)
        # Read seldom: a value read every step would make a GPU wait every step.
        mean_loss = float(progress.losses.mean())
        return mean_loss, num_images / (time.perf_counter() - started)


@dataclass
class _Progress:
    """How far a training is.

    Attributes:
        slots: One for the loss of each step of the epoch under way, on the device.
        steps_of_epoch: How many of them are filled.
        seconds: Spent so far, as of the last time that it was looked at.
        micro_batches: The most into which a batch was cut so far.
    """

    slots: Tensor
    curve: list[EpochRecord] = field(default_factory=list)
    steps_of_epoch: int = 0
    seconds: float = 0.0
    micro_batches: int = 1
    _since: float | None = None

    @property
    def losses(self) -> Tensor:
        """Of the steps of the epoch so far."""
        return self.slots[: self.steps_of_epoch]

    @property
    def last_loss(self) -> Tensor:
        return self.slots[self.steps_of_epoch - 1]

    def note_step(self, loss: Tensor) -> None:
        """Keep the loss of a step; nothing waits for it."""
        self.slots[self.steps_of_epoch].copy_(loss)
        self.steps_of_epoch += 1

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Time spent within counts."""
        self._since = time.perf_counter()
        yield
        self._count()
        self._since = None

    def end_epoch(self, record: EpochRecord) -> None:
        self.curve.append(record)
        self.steps_of_epoch = 0

    def state(self) -> State:
        """Taken within the epoch under way, or after it."""
        self._count()
        losses = {"losses": self.losses} if self.steps_of_epoch else {}
        curve = [asdict(record) for record in self.curve]
        return State(losses, {"curve": curve, "seconds": self.seconds, "micro_batches": self.micro_batches})

    def load(self, state: State) -> None:
        """Put back what `state` gave, perhaps in a training that cuts its batches into fewer parts."""
        self.curve[:] = [EpochRecord(**record) for record in state.values["curve"]]
        self.steps_of_epoch = len(state.tensors["losses"]) if "losses" in state.tensors else 0
        if self.steps_of_epoch:
            self.losses.copy_(state.tensors["losses"])
        self.seconds = state.values["seconds"]
        self.micro_batches = max(self.micro_batches, state.values["micro_batches"])

    def _count(self) -> None:
        if self._since is not None:
            now = time.perf_counter()
            self.seconds += now - self._since
            self._since = now


def _require_finite(loss: float, what: str) -> None:
    if not math.isfinite(loss):
        raise Diverged(f"the {what} is {loss}")
