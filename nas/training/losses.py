"""Losses. Each takes logits [N, K], labels [N] and the training split's class counts [K], and gives a mean.

To add one: a function here, its line in `LOSSES`, and its line in `nas.genome.LOSS_PARAMETERS`.
Dimensions: N images of a batch, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from nas.genome import Loss


class LossFunction(Protocol):
    """A loss whose parameters are bound."""

    def __call__(self, logits_NK: Tensor, labels_N: Tensor, /) -> Tensor: ...


def cross_entropy(logits_NK: Tensor, labels_N: Tensor, counts_K: Tensor) -> Tensor:
    """Mean of -log p_y."""
    return functional.cross_entropy(logits_NK, labels_N)


def focal(logits_NK: Tensor, labels_N: Tensor, counts_K: Tensor, *, gamma: float) -> Tensor:
    """Mean of -(1 - p_y)^γ log p_y over the softmax.

    Source: Lin et al., "Focal Loss for Dense Object Detection", 2017.
    """
    return _focal_N(logits_NK, labels_N, gamma).mean()


def class_balanced_focal(logits_NK: Tensor, labels_N: Tensor, counts_K: Tensor, *, gamma: float, beta: float) -> Tensor:
    """The focal loss, each image weighted by the effective number of its class's training images.

    Source: Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", 2019.
    """
    weights_N = effective_number_weights(counts_K, beta)[labels_N]
    return (weights_N * _focal_N(logits_NK, labels_N, gamma)).mean()


def effective_number_weights(counts_K: Tensor, beta: float) -> Tensor:
    """Class weights (1 - β) / (1 - βⁿ), scaled to a mean of 1; β = 0 weighs all alike. Shape [K], float32."""
    # In double precision: 1 - 0.9999^1 has four digits left in single.
    effective_K = -torch.expm1(counts_K.clamp_min(1).double() * torch.log(torch.tensor(beta, dtype=torch.float64)))
    weights_K = (1.0 - beta) / effective_K
    return (weights_K / weights_K.mean()).float()


def _focal_N(logits_NK: Tensor, labels_N: Tensor, gamma: float) -> Tensor:
    log_p_N = -functional.cross_entropy(logits_NK, labels_N, reduction="none")
    # 1 - p as -expm1(log p) keeps its digits near p = 1; the floor keeps the gradient finite for γ < 1 there.
    return -((-torch.expm1(log_p_N)).clamp_min(1e-8) ** gamma) * log_p_N


LOSSES: dict[str, Callable[..., Tensor]] = {
    "cross_entropy": cross_entropy,
    "focal": focal,
    "class_balanced_focal": class_balanced_focal,
}


def bind_loss(loss: Loss, counts_K: Tensor) -> LossFunction:
    """The loss that a genome names, with its parameters and the class counts filled in."""
    function, parameters = LOSSES[loss.name], loss.parameters

    def bound(logits_NK: Tensor, labels_N: Tensor, /) -> Tensor:
        return function(logits_NK, labels_N, counts_K, **parameters)

    return bound
