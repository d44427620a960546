"""The training loop: epochs of steps on tensors that live on the device, each epoch evaluated.

Dimensions: N images of a batch, C channels, H and W pixels, D features, K classes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn

from nas.data.augment import Augmentation, Augmented
from nas.data.batches import Batches
from nas.data.normalization import MAX_PIXEL
from nas.data.sampling import Sampler
from nas.outcome import EpochRecord
from nas.recipe import Recipe
from nas.training.averaging import BestWeights, WeightAverage
from nas.training.checkpoint import CheckpointError
from nas.training.device import Compute
from nas.training.evaluation import evaluate
from nas.training.losses import LossFunction, bind_loss
from nas.training.optimization import Schedule, make_optimizer
from nas.training.orthogonality import orthogonality_penalty
from nas.training.state import State, optimizer_state, random_state, restore_optimizer, restore_random
from nas.training.task import Plan, Task
from nas.training.watch import Unwatched, Watch

_STEPS_BETWEEN_CHECKS = 32
_UNWATCHED = Unwatched()


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
        watch: Watch = _UNWATCHED,
    ) -> None:
        torch.manual_seed(plan.seed)
        self._network = network.to(memory_format=torch.channels_last)
        self._recipe, self._task, self._plan, self._compute, self._watch = recipe, task, plan, compute, watch
        self._batches = Batches(task.train, sampler, recipe.batch_size, compute.device)
        self._generator = torch.Generator(compute.device).manual_seed(plan.seed)
        mean_pixel_C = task.normalization.mean.flatten() * MAX_PIXEL
        self._augmentation = Augmentation(recipe.augmentation, mean_pixel_C, self._generator)
        self._optimizer = make_optimizer(recipe, network)
        self._schedule = Schedule(recipe, self._optimizer, plan.epochs * self._batches.num_batches)
        self._average = WeightAverage(network, recipe.ema_decay) if recipe.ema_decay > 0.0 else None
        self._best = BestWeights(network) if recipe.early_stopping_patience > 0 else None
        self._counts_K = task.counts_K
        self._progress = _Progress(micro_batches=plan.micro_batches)

    @property
    def micro_batches(self) -> int:
        """Into how many parts batches were cut, in this process or an earlier one that was paused."""
        return self._progress.micro_batches

    @property
    def num_steps(self) -> int:
        """Steps since the training began."""
        return len(self._progress.curve) * self._batches.num_batches + len(self._progress.losses)

    @property
    def epochs_done(self) -> int:
        """Whole epochs since the training began."""
        return len(self._progress.curve)

    def state(self) -> State:
        """All that the training needs to go on from between two steps, in this process or another."""
        state = State()
        state.put("network", State(dict(self._network.state_dict())))
        state.put("optimizer", optimizer_state(self._optimizer))
        state.put("schedule", self._schedule.state())
        state.put("random", random_state(self._compute.device, self._generator))
        state.put("progress", self._progress.state())
        if self._average is not None:
            state.put("average", self._average.state())
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
        self._network.load_state_dict(state.part("network").tensors)
        restore_optimizer(self._optimizer, state.part("optimizer"))
        self._schedule.load(state.part("schedule"))
        restore_random(self._compute.device, self._generator, state.part("random"))
        self._progress = _Progress.of(state.part("progress"), self._compute.device, self._plan.micro_batches)
        if self._average is not None:
            self._average.load(state.part("average"))
        if self._best is not None:
            self._best.load(state.part("best"))

    def run(self, on_epoch: Callable[[EpochRecord], None]) -> Trained:
        """Train to the end of the plan, or until patience is lost.

        Args:
            on_epoch: Told after each epoch; what it raises ends the training.

        Raises:
            Diverged: A loss is not finite.
        """
        curve = self._progress.curve
        while len(curve) < self._plan.epochs and not self._is_out_of_patience():
            self._epoch(len(curve) + 1)
            on_epoch(curve[-1])
        if self._best is not None:
            self._best.restore()
            return Trained(tuple(curve), len(curve) - self._best.epochs_without_gain, self._progress.seconds)
        if self._average is not None:
            self._average.put_in()
        return Trained(tuple(curve), len(curve), self._progress.seconds)

    def _is_out_of_patience(self) -> bool:
        return self._best is not None and self._best.epochs_without_gain >= self._recipe.early_stopping_patience

    def _epoch(self, epoch: int) -> None:
        """Train for one epoch and evaluate; with averaged weights, it is those that are evaluated and kept."""
        progress = self._progress
        with progress.timed():
            loss_function = bind_loss(
                self._recipe.loss, self._recipe.imbalance, self._counts_K, (epoch - 1) / self._plan.epochs
            )
            train_loss, images_per_second = self._pass(epoch, loss_function)
            _require_finite(train_loss, f"training loss of epoch {epoch}")
            with self._average.applied() if self._average is not None else nullcontext():
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

    def _pass(self, epoch: int, loss_function: LossFunction) -> tuple[float, float]:
        """What is left of an epoch; returns the mean loss of its steps and the images per second of this part."""
        self._network.train()
        losses = self._progress.losses
        started, num_images = time.perf_counter(), 0
        for images_NCHW, labels_N in self._batches.epoch(epoch - 1, first=len(losses)):
            losses.append(self._step(images_NCHW, labels_N, loss_function))
            num_images += len(labels_N)
            if len(losses) % _STEPS_BETWEEN_CHECKS == 0:
                _require_finite(float(losses[-1]), f"loss of step {len(losses)} of an epoch")
            self._watch.after_step(self.num_steps, self.state)
        # Read seldom: a value read every step would make a GPU wait every step.
        mean_loss = float(torch.stack(losses).mean())
        return mean_loss, num_images / (time.perf_counter() - started)

    def _step(self, images_NCHW: Tensor, labels_N: Tensor, loss_function: LossFunction) -> Tensor:
        """One step of the optimiser; returns the loss with its penalties."""
        shown = self._augmentation(images_NCHW, labels_N)
        self._optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=labels_N.device)
        for part, share in shown.split(self._plan.micro_batches):
            loss = share * self._loss(part, loss_function)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        if self._recipe.gradient_clip > 0.0:
            nn.utils.clip_grad_norm_(self._network.parameters(), self._recipe.gradient_clip)
        self._optimizer.step()
        self._schedule.after_step()
        if self._average is not None:
            self._average.update()
        return total

    def _loss(self, shown: Augmented, loss_function: LossFunction) -> Tensor:
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


@dataclass
class _Progress:
    """How far a training is.

    Attributes:
        losses: Of the steps of the epoch under way.
        seconds: Spent so far, as of the last time that it was looked at.
        micro_batches: The most into which a batch was cut so far.
    """

    curve: list[EpochRecord] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    seconds: float = 0.0
    micro_batches: int = 1
    _since: float | None = None

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Time spent within counts."""
        self._since = time.perf_counter()
        yield
        self._count()
        self._since = None

    def end_epoch(self, record: EpochRecord) -> None:
        self.curve.append(record)
        self.losses.clear()

    def state(self) -> State:
        """Taken within the epoch under way, or after it."""
        self._count()
        losses = {"losses": torch.stack(self.losses)} if self.losses else {}
        curve = [asdict(record) for record in self.curve]
        return State(losses, {"curve": curve, "seconds": self.seconds, "micro_batches": self.micro_batches})

    @classmethod
    def of(cls, state: State, device: torch.device, micro_batches: int) -> _Progress:
        """What `state` gave, in a training that cuts its batches into so many parts now."""
        losses = list(state.tensors["losses"].to(device)) if "losses" in state.tensors else []
        curve = [EpochRecord(**record) for record in state.values["curve"]]
        return cls(curve, losses, state.values["seconds"], max(micro_batches, state.values["micro_batches"]))

    def _count(self) -> None:
        if self._since is not None:
            now = time.perf_counter()
            self.seconds += now - self._since
            self._since = now


def _require_finite(loss: float, what: str) -> None:
    if not math.isfinite(loss):
        raise Diverged(f"the {what} is {loss}")
