"""Muon: steps of momentum whose matrices are orthogonalised.

Dimensions: M rows, N columns of a weight as a matrix, one row per output.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nas.training.optimization.cuda_graph_optimizers import (
    DeviceOptimizer,
    DeviceRates,
    Group,
    moment,
    parameters_and_gradients,
    update_adamw,
)

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_NUM_ITERATIONS = 5
_MIN_GRAM_RATIO = 2
_MIN_NORM = 1e-7
_ADAMW_RMS = 0.2
_ADAMW_EPSILON = 1e-8


class Muon(DeviceOptimizer):
    """Muon for the groups with `orthogonalized`, AdamW for the others, with device rates on any device.

    Nesterov momentum is orthogonalised and scaled to the root mean square of AdamW's steps, 0.2 of the learning rate,
    so that one learning rate and one weight decay serve both kinds of groups. A convolution's weight
    [M, C, A, B] is the matrix [M, C·A·B]. `torch.optim.Muon` takes matrices only, and momentum from the host, which
    a captured step would freeze.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; the scale is equation 4 of
    Liu et al., "Muon is Scalable for LLM Training", 2025.
    """

    def __init__(self, groups: list[Group], lr: float) -> None:
        # `capturable` keeps AdamW's step counts on the device when a state is loaded.
        super().__init__(groups, {"lr": lr, "eps": _ADAMW_EPSILON, "betas": (0.9, 0.999), "capturable": True})
        self._create_rates()

    def update(self, groups: list[Group], rates: DeviceRates) -> None:
        """Update the parameters of groups with equal rates."""
        for group in groups:
            if group["orthogonalized"]:
                self._update_matrices(group, rates)
        others = [group for group in groups if not group["orthogonalized"]]
        if others:
            update_adamw(self, others, rates)

    def _update_matrices(self, group: Group, rates: DeviceRates) -> None:
        parameters, gradients = parameters_and_gradients([group])
        buffers = [moment(self, parameter, "momentum_buffer") for parameter in parameters]
        torch._foreach_mul_(buffers, rates.momentum)
        torch._foreach_add_(buffers, gradients)
        directions = torch._foreach_mul(buffers, rates.momentum)
        torch._foreach_add_(directions, gradients)
        if group["weight_decay"] != 0.0:
            torch._foreach_mul_(parameters, 1 - rates.learning_rate * group["weight_decay"])
        for parameter, direction in zip(parameters, directions, strict=True):
            matrix_MN = direction.flatten(1)
            scale = _ADAMW_RMS * math.sqrt(max(matrix_MN.shape))
            update = orthogonalize(matrix_MN).reshape(parameter.shape)
            parameter.sub_(update * (scale * rates.learning_rate))


def orthogonalize(matrix_MN: Tensor) -> Tensor:
    """Approximate the nearest matrix with orthonormal rows or columns; most singular values end near 1.

    Five iterations X ← aX + b(XXᵀ)X + c(XXᵀ)²X from the matrix divided by its norm. The coefficients maximise the slope
    at 0, so that small singular values grow fast, and do not converge to 1 exactly.

    Source: Jordan et al., 2024; after Bernstein & Newhouse, "Old Optimizer, New Norm", 2024.
    """
    is_tall = matrix_MN.shape[0] > matrix_MN.shape[1]
    x = matrix_MN.T if is_tall else matrix_MN
    x = x / torch.linalg.vector_norm(x).clamp_min(_MIN_NORM)
    rows, columns = x.shape
    x = _iterate_on_gram(x) if columns > _MIN_GRAM_RATIO * rows else _iterate(x)
    return x.T if is_tall else x


def _iterate(x: Tensor) -> Tensor:
    a, b, c = _COEFFICIENTS
    for _ in range(_NUM_ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _iterate_on_gram(x: Tensor) -> Tensor:
    """Iterate on the small matrix XXᵀ: each X is a polynomial of the first XXᵀ times the first X.

    For a kernel of 3×3 and as many inputs as outputs this takes 0.4 of the multiplications.
    """
    a, b, c = _COEFFICIENTS
    gram = x @ x.T
    product = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    for iteration in range(_NUM_ITERATIONS):
        change = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        product = torch.addmm(product, change, product, beta=a)
        if iteration + 1 < _NUM_ITERATIONS:
            half = torch.addmm(gram, change, gram, beta=a)
            gram = torch.addmm(half, half, change, beta=a)
    return product @ x
