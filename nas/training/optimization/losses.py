"""Loss functions: logits [N, K], labels [N] and the training split's class counts [K] to one value per image.

To add a loss, write a function here and add it to `LOSSES` and to `nas.space.recipe.Loss`.
Dimensions: N images of a batch, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from nas.space.plugin_parts import loaded_loss
from nas.space.recipe import Imbalance, Loss


class LossFunction(Protocol):
    """Loss with bound parameters: logits [N, K] and labels [N] to one value per image, [N]."""

    def __call__(self, logits_NK: Tensor, labels_N: Tensor, /) -> Tensor: ...


def cross_entropy(logits_NK: Tensor, labels_N: Tensor, counts_K: Tensor, *, label_smoothing: float) -> Tensor:
    """Cross entropy with label smoothing: -Σ q_k log p_k, where q is 1 - ε on the true class plus ε / K on all.

    Source: Szegedy et al., "Rethinking the Inception Architecture", 2016, section 7.
    """
    return functional.cross_entropy(logits_NK, labels_N, label_smoothing=label_smoothing, reduction="none")


def all_class(logits_NK: Tensor, labels_N: Tensor, counts_K: Tensor, *, penalty: float, threshold: float) -> Tensor:
    """All-class loss: -log p_y - λ Σ log(1 - p_i) over the wrong classes i with p_i above the threshold.

    The p are softmax probabilities. Every wrong class is penalised directly, not only through the true class.
    """
    log_p_NK = functional.log_softmax(logits_NK, dim=1)
    wrong_NK = log_p_NK.exp() > threshold
    wrong_NK = wrong_NK.scatter(1, labels_N[:, None], False)
    penalties_NK = torch.where(wrong_NK, -_log_complement(logits_NK, log_p_NK), 0.0)
    return -log_p_NK.gather(1, labels_N[:, None])[:, 0] + penalty * penalties_NK.sum(1)


def focal(logits_NK: Tensor, labels_N: Tensor, counts_K: Tensor, *, gamma: float) -> Tensor:
    """Focal loss: -(1 - p_y)^γ log p_y with softmax probabilities p.

    Source: Lin et al., "Focal Loss for Dense Object Detection", 2017.
    """
    log_p_N = -functional.cross_entropy(logits_NK, labels_N, reduction="none")
    # 1 - p as -expm1(log p) is accurate near p = 1; the lower bound keeps the gradient finite there for γ < 1.
    return -((-torch.expm1(log_p_N)).clamp_min(1e-8) ** gamma) * log_p_N


def balanced_softmax(logits_NK: Tensor, labels_N: Tensor, counts_K: Tensor, *, label_smoothing: float) -> Tensor:
    """Balanced softmax: cross entropy of the logits plus log class counts.

    Equal to logit adjustment with τ = 1, because a constant added to all logits changes nothing.

    Source: Ren et al., "Balanced Meta-Softmax for Long-Tailed Visual Recognition", 2020, equation 4.
    """
    return logit_adjustment(logits_NK, labels_N, counts_K, tau=1.0, label_smoothing=label_smoothing)


def logit_adjustment(
    logits_NK: Tensor, labels_N: Tensor, counts_K: Tensor, *, tau: float, label_smoothing: float
) -> Tensor:
    """Logit-adjusted loss: cross entropy of the logits plus τ times the log class frequencies, in training only.

    Source: Menon et al., "Long-tail learning via logit adjustment", 2021, equation 10.
    """
    adjusted_NK = logits_NK + tau * log_frequencies(counts_K).to(logits_NK.dtype)
    return cross_entropy(adjusted_NK, labels_N, counts_K, label_smoothing=label_smoothing)


def ldam(logits_NK: Tensor, labels_N: Tensor, counts_K: Tensor, *, max_margin: float) -> Tensor:
    """LDAM loss: cross entropy with the true class's logit lowered by a margin C / n_y^(1/4), at most `max_margin`.

    The paper normalises features and classifier and scales them by 30. Here the classifier stays linear, so the margin
    is in units of its logits.

    Source: Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", 2019, equation 13.
    """
    inverse_K = counts_K.clamp_min(1).to(logits_NK.dtype) ** -0.25
    margins_N = (max_margin * inverse_K / inverse_K.max())[labels_N]
    lowered_NK = logits_NK.scatter_add(1, labels_N[:, None], -margins_N[:, None])
    return functional.cross_entropy(lowered_NK, labels_N, reduction="none")


def effective_number_weights(counts_K: Tensor, beta: float) -> Tensor:
    """Class weights (1 - β) / (1 - βⁿ), scaled to a mean of 1; shape [K], float32.

    β = 0 gives equal weights; β = 1 gives 1 / n, the limit of the formula.

    Source: Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", 2019.
    """
    counts_K = counts_K.clamp_min(1).double()
    if beta == 1.0:
        weights_K = 1.0 / counts_K
    else:
        # In double precision: in single precision 1 - 0.9999^1 keeps only four digits.
        log_beta = torch.log(torch.tensor(beta, dtype=torch.float64, device=counts_K.device))
        weights_K = (1.0 - beta) / -torch.expm1(counts_K * log_beta)
    return (weights_K / weights_K.mean()).float()


def log_frequencies(counts_K: Tensor) -> Tensor:
    """Log class frequencies of the training images, [K] float64; an absent class counts as one image."""
    counts_K = counts_K.clamp_min(1).double()
    return torch.log(counts_K / counts_K.sum())


LOSSES: dict[str, Callable[..., Tensor]] = {
    "cross_entropy": cross_entropy,
    "all_class": all_class,
    "focal": focal,
    "balanced_softmax": balanced_softmax,
    "logit_adjustment": logit_adjustment,
    "ldam": ldam,
}


def class_weight_beta(loss: Loss, imbalance: Imbalance, share_done: float) -> float | None:
    """Return the β of the class weights once `share_done` of the epochs are done; None for equal weights."""
    if loss.name == "ldam":
        deferred_beta: float = loss.parameter("deferred_beta")
        return deferred_beta if share_done >= loss.parameter("deferral") else None
    return imbalance.beta if imbalance.name == "reweighting" else None


def bind_loss(loss: Loss, imbalance: Imbalance, counts_K: Tensor, share_done: float = 0.0) -> LossFunction:
    """Bind parameters, class counts and class weights of a recipe's loss.

    Args:
        share_done: Share of the epochs done; LDAM reweights its classes from `deferral` on.
    """
    function, parameters = LOSSES.get(loss.name) or loaded_loss(loss.name), dict(loss.parameters)
    for schedule in ("deferral", "deferred_beta"):
        parameters.pop(schedule, None)
    beta = class_weight_beta(loss, imbalance, share_done)
    weights_K = None if beta is None else effective_number_weights(counts_K, beta)

    def bound(logits_NK: Tensor, labels_N: Tensor, /) -> Tensor:
        # Sums of exponentials need more precision than bfloat16's three digits.
        precise_NK = logits_NK if logits_NK.dtype == torch.float64 else logits_NK.float()
        losses_N = function(precise_NK, labels_N, counts_K, **parameters)
        return losses_N if weights_K is None else losses_N * weights_K[labels_N]

    return bound


def _log_complement(logits_NK: Tensor, log_p_NK: Tensor) -> Tensor:
    """Logarithm of 1 - p, finite for all finite logits.

    Only for the largest probability can 1 - p lose all digits. For that class it is computed from the other classes'
    logits: 1 - p = Σ_{j≠i} exp(z_j) / Σ_j exp(z_j).
    """
    largest_N1 = logits_NK.argmax(1, keepdim=True)
    others_NK = logits_NK.scatter(1, largest_N1, -torch.inf)
    largest_complement_N = torch.logsumexp(others_NK, 1) - torch.logsumexp(logits_NK, 1)
    is_largest_NK = torch.zeros_like(logits_NK, dtype=torch.bool).scatter(1, largest_N1, True)
    # Filled before the logarithm, because masking after it would leave an infinite gradient.
    p_NK = log_p_NK.exp().masked_fill(is_largest_NK, 0.0)
    return torch.where(is_largest_NK, largest_complement_N[:, None], torch.log1p(-p_NK))
