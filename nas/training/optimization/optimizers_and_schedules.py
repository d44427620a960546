"""Optimisers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn, optim
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from nas.space.recipe import Recipe, Schedule
from nas.training.checkpoints.training_state import TrainingState
from nas.training.optimization.cuda_graph_optimizers import DeviceAdamW, DeviceSGD
from nas.training.optimization.muon import Muon
from nas.training.optimization.parameter_groups import parameter_groups

_MOMENTUM = 0.9


def make_optimizer(recipe: Recipe, network: nn.Module) -> optim.Optimizer:
    """Create SGD with Nesterov momentum, AdamW or Muon, with the groups of `parameter_groups`.

    On the CPU the first two are PyTorch's fused optimisers; on other devices always the variants that support graph
    capture.
    """
    groups, rate = parameter_groups(recipe, network), recipe.peak_learning_rate
    on_cpu = all(parameter.device.type == "cpu" for group in groups for parameter in group["params"])
    match recipe.optimizer, on_cpu:
        case "sgd", True:
            return optim.SGD(groups, lr=rate, momentum=_MOMENTUM, nesterov=True, fused=True)
        case "sgd", False:
            return DeviceSGD(groups, lr=rate, momentum=_MOMENTUM)
        case "adamw", True:
            return optim.AdamW(groups, lr=rate, fused=True)
        case "adamw", False:
            return DeviceAdamW(groups, lr=rate)
        case "muon", _:
            return Muon(groups, lr=rate)
        case name, _:
            raise ValueError(f"no optimizer {name!r}")


class LearningRateSchedule:
    """Learning-rate schedule, advanced after each step and after each epoch.

    The peaks are the rates of the optimiser's groups. All but `reduce_on_plateau` are fixed for `total_steps` in
    advance and ignore the validation loss.

    Source: one-cycle, Smith & Topin, "Super-Convergence", 2018; cosine, Loshchilov & Hutter, "SGDR", 2017, after a
    linear warm-up; step, He et al., 2016, section 4.2.
    """

    def __init__(self, recipe: Recipe, optimizer: optim.Optimizer, total_steps: int) -> None:
        self._by_step: LRScheduler | None = None
        self._by_epoch: ReduceLROnPlateau | None = None
        schedule = recipe.schedule
        if schedule.name == "one_cycle":
            # One step more than is taken, because the scheduler raises when it is stepped past its last step.
            peaks = [group["lr"] for group in optimizer.param_groups]
            self._by_step = OneCycleLR(optimizer, max_lr=peaks, total_steps=total_steps + 1)
        elif schedule.name == "reduce_on_plateau":
            self._by_epoch = ReduceLROnPlateau(
                optimizer,
                factor=schedule.parameter("decay_factor"),
                # PyTorch counts the epochs before the one that decays, which is one less.
                patience=schedule.parameter("plateau_patience") - 1,
            )
        else:
            self._by_step = LambdaLR(optimizer, _rate_factor(schedule, total_steps))

    def state(self) -> TrainingState:
        """State for a checkpoint."""
        scheduler = self._by_step if self._by_epoch is None else self._by_epoch
        assert scheduler is not None
        return TrainingState(values=scheduler.state_dict())

    def load(self, state: TrainingState) -> None:
        """Restore a state returned by `state`."""
        scheduler = self._by_step if self._by_epoch is None else self._by_epoch
        assert scheduler is not None
        scheduler.load_state_dict(state.values)

    def after_step(self) -> None:
        """Advance the schedule after an optimiser step."""
        if self._by_step is not None:
            self._by_step.step()

    def after_epoch(self, validation_loss: float) -> None:
        """Advance the schedule after the evaluation of an epoch."""
        if self._by_epoch is not None:
            self._by_epoch.step(validation_loss)


def _rate_factor(schedule: Schedule, total_steps: int) -> Callable[[int], float]:
    """Factor of the peak learning rate at a step, counted from 0."""
    if schedule.name == "cosine":
        warmup: int = round(schedule.parameter("warmup") * total_steps)

        def cosine(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total_steps - warmup)))

        return cosine
    if schedule.name == "step":
        factor, every = schedule.parameter("decay_factor"), schedule.parameter("decay_every")
        # The small term corrects rounding: a tenth of 30 steps is 3.0000000000000004, so decays would come too late.
        return lambda step: float(factor ** int(step / (every * total_steps) + 1e-9))
    assert schedule.name == "constant", f"no schedule {schedule.name!r}"
    return lambda step: 1.0
