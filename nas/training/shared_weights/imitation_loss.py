"""Losses of a slice that imitates the largest network (in-place distillation).

Dimensions: N images of a batch, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import assert_never

from nas.study.shared_weights_spec import Imitation

_MAX_RATIO = 5.0
"""Largest ratio of the two networks' probabilities in the α-divergence (Wang et al., 2021, section 4.2)."""


def imitation_loss(slice_NK: Tensor, largest_NK: Tensor, imitation: Imitation) -> Tensor:
    """Mean loss of a slice's logits against the largest network's, a scalar in float32.

    `cross_entropy` is -Σ p log q, with p and q the probabilities of the largest network and of the slice (Yu & Huang,
    "Universally Slimmable Networks", 2019). `alpha_divergence` is, for each image, the larger of the divergences with
    α = 1, KL(p ‖ q), and α = -1, ½ (Σ q² / p - 1); the first punishes a slice that underestimates a class, the second
    one that overestimates it (Wang et al., "AlphaNet", 2021, equations 4 and 8). Its gradient is that of the
    divergence with the ratio q / p clipped at 5; the value is a surrogate with this gradient.

    Args:
        largest_NK: No gradient flows to these logits.
    """
    log_q_NK, p_NK = functional.log_softmax(slice_NK.float(), 1), functional.softmax(largest_NK.detach().float(), 1)
    cross_entropy_N = -(p_NK * log_q_NK).sum(1)
    match imitation:
        case "cross_entropy":
            return cross_entropy_N.mean()
        case "alpha_divergence":
            return _alpha_divergence(log_q_NK, p_NK, cross_entropy_N).mean()
        case _:
            assert_never(imitation)


def _alpha_divergence(log_q_NK: Tensor, p_NK: Tensor, cross_entropy_N: Tensor) -> Tensor:
    with torch.no_grad():
        q_NK, log_p_NK = log_q_NK.exp(), p_NK.clamp_min(torch.finfo(torch.float32).tiny).log()
        ratio_NK = (log_q_NK - log_p_NK).exp().clamp_max(_MAX_RATIO)
        overestimates_N = ((q_NK * ratio_NK).sum(1) - 1) / 2 > (p_NK * (log_p_NK - log_q_NK)).sum(1)
    # The gradient of ½ Σ q² / p is Σ q (q / p) ∇ log q.
    surrogate_N = (q_NK * ratio_NK * log_q_NK).sum(1)
    return torch.where(overestimates_N, surrogate_N, cross_entropy_N)
