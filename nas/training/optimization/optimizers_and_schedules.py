"""Optimisers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn, optim
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from nas.space.recipe import Recipe
from nas.space.recipe import Schedule as ScheduleChoice
from nas.training.checkpoints.training_state import State
from nas.training.optimization.cuda_graph_optimizers import DeviceAdamW, DeviceSGD

_MOMENTUM = 0.9


def make_optimizer(recipe: Recipe, network: nn.Module) -> optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW. Biases and normalisation parameters are not decayed.

    On the CPU they are PyTorch's fused ones; elsewhere those whose step can be captured, whether it is or not.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    on_cpu = all(parameter.device.type == "cpu" for parameter in parameters)
    match recipe.optimizer, on_cpu:
        case "sgd", True:
            return optim.SGD(groups, lr=recipe.learning_rate, momentum=_MOMENTUM, nesterov=True, fused=True)
        case "sgd", False:
            return DeviceSGD(groups, lr=recipe.learning_rate, momentum=_MOMENTUM)
        case "adamw", True:
            return optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
        case "adamw", False:
            return DeviceAdamW(groups, lr=recipe.learning_rate)
        case name, _:
            raise ValueError(f"no optimizer {name!r}")


class Schedule:
    """A learning rate over a training: told after each step, and after each epoch what validation said.

    All but `reduce_on_plateau` are laid out for `total_steps` at once and need no validation.

    Source: one-cycle, Smith & Topin, "Super-Convergence", 2018; cosine, Loshchilov & Hutter, "SGDR", 2017, after a
    linear warm-up; step, He et al., 2016, section 4.2.
    """

    def __init__(self, recipe: Recipe, optimizer: optim.Optimizer, total_steps: int) -> None:
        self._by_step: LRScheduler | None = None
        self._by_epoch: ReduceLROnPlateau | None = None
        schedule = recipe.schedule
        if schedule.name == "one_cycle":
            # One step more than is taken: the scheduler refuses to be stepped past its last one.
            self._by_step = OneCycleLR(optimizer, max_lr=recipe.learning_rate, total_steps=total_steps + 1)
        elif schedule.name == "reduce_on_plateau":
            self._by_epoch = ReduceLROnPlateau(
                optimizer,
                factor=schedule.parameter("decay_factor"),
                # PyTorch's patience is one less: epochs that pass before the one that decays.
                patience=schedule.parameter("plateau_patience") - 1,
            )
        else:
            self._by_step = LambdaLR(optimizer, _share_of_peak(schedule, total_steps))

    def state(self) -> State:
        """For a checkpoint."""
        scheduler = self._by_step if self._by_epoch is None else self._by_epoch
        assert scheduler is not None
        return State(values=scheduler.state_dict())

    def load(self, state: State) -> None:
        """Put back what `state` gave."""
        scheduler = self._by_step if self._by_epoch is None else self._by_epoch
        assert scheduler is not None
        scheduler.load_state_dict(state.values)

    def after_step(self) -> None:
        """The optimiser has taken a step."""
        if self._by_step is not None:
            self._by_step.step()

    def after_epoch(self, validation_loss: float) -> None:
        """An epoch has been evaluated."""
        if self._by_epoch is not None:
            self._by_epoch.step(validation_loss)


def _share_of_peak(schedule: ScheduleChoice, total_steps: int) -> Callable[[int], float]:
    """The share of the peak learning rate at a step, counted from 0."""
    if schedule.name == "cosine":
        warmup: int = round(schedule.parameter("warmup") * total_steps)

        def cosine(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total_steps - warmup)))

        return cosine
    if schedule.name == "step":
        factor, every = schedule.parameter("decay_factor"), schedule.parameter("decay_every")
        # The small term: a tenth of 30 steps is 3.0000000000000004, and three of those would come too late.
        return lambda step: float(factor ** int(step / (every * total_steps) + 1e-9))
    assert schedule.name == "constant", f"no schedule {schedule.name!r}"
    return lambda step: 1.0
