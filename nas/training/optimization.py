"""Optimisers and learning-rate schedules."""

from __future__ import annotations

import math
from functools import partial

from torch import nn, optim
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR
from typing_extensions import assert_never

from nas.genome import Recipe

_MOMENTUM = 0.9
_WARMUP_SHARE = 0.05


def make_optimizer(recipe: Recipe, network: nn.Module) -> optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW. Biases and normalisation parameters are not decayed."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    match recipe.optimizer:
        case "sgd":
            return optim.SGD(groups, lr=recipe.learning_rate, momentum=_MOMENTUM, nesterov=True, fused=True)
        case "adamw":
            return optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
        case _:
            assert_never(recipe.optimizer)


def make_schedule(recipe: Recipe, optimizer: optim.Optimizer, total_steps: int) -> LRScheduler:
    """A schedule that is stepped after each optimiser step, laid out for `total_steps`.

    Source: one-cycle, Smith & Topin, "Super-Convergence", 2018; cosine, Loshchilov & Hutter, "SGDR", 2017,
    after a linear warm-up over the first 5 % of the steps.
    """
    match recipe.schedule:
        case "one_cycle":
            # One step more than is taken: the scheduler refuses to be stepped past its last one.
            return OneCycleLR(optimizer, max_lr=recipe.learning_rate, total_steps=total_steps + 1)
        case "cosine":
            return LambdaLR(optimizer, partial(_warmup_then_cosine, total_steps=total_steps))
        case _:
            assert_never(recipe.schedule)


def _warmup_then_cosine(step: int, *, total_steps: int) -> float:
    """The share of the peak learning rate at a step."""
    warmup = max(1, round(_WARMUP_SHARE * total_steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total_steps - warmup)))
