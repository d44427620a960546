"""Imitation losses against float64 references written out from the papers' formulas."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nas.training.shared_weights.imitation_loss import imitation_loss


def logits(seed: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(6, 5, generator=torch.Generator().manual_seed(seed))


def gradient(loss_of, student_NK: Tensor) -> Tensor:
    student_NK = student_NK.clone().requires_grad_()
    loss_of(student_NK).backward()
    assert student_NK.grad is not None
    return student_NK.grad


def reference_alpha(student_NK: Tensor, teacher_NK: Tensor) -> Tensor:
    """Larger of the divergences with α = 1 and -1 of each image, without clipping, in float64."""
    p_NK, q_NK = teacher_NK.double().softmax(1), student_NK.double().softmax(1)
    forward_N = (p_NK * (p_NK / q_NK).log()).sum(1)
    backward_N = ((q_NK**2 / p_NK).sum(1) - 1) / 2
    return torch.maximum(forward_N, backward_N).mean()


def test_cross_entropy_is_that_of_the_largest_networks_probabilities():
    student_NK, teacher_NK = logits(0), logits(1)
    expected = -(teacher_NK.double().softmax(1) * student_NK.double().softmax(1).log()).sum(1).mean()
    assert float(imitation_loss(student_NK, teacher_NK, "cross_entropy")) == pytest.approx(float(expected), rel=1e-6)


def test_alpha_divergence_has_the_gradient_of_the_larger_divergence_where_no_ratio_is_clipped():
    student_NK, teacher_NK = logits(0, 0.5), logits(1, 0.5)
    ratios = student_NK.softmax(1) / teacher_NK.softmax(1)
    assert ratios.max() < 5
    found = gradient(lambda one: imitation_loss(one, teacher_NK, "alpha_divergence"), student_NK)
    expected = gradient(lambda one: reference_alpha(one, teacher_NK), student_NK.double())
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6)


def test_a_clipped_ratio_bounds_the_gradient():
    teacher_NK, student_NK = torch.tensor([[20.0, -20.0]]), torch.tensor([[-20.0, 20.0]])
    found = gradient(lambda one: imitation_loss(one, teacher_NK, "alpha_divergence"), student_NK)
    assert torch.isfinite(found).all()
    assert found.abs().max() <= 5.0


def test_no_gradient_reaches_the_largest_network():
    teacher_NK = logits(1).requires_grad_()
    student_NK = logits(0).requires_grad_()
    for imitation in ("cross_entropy", "alpha_divergence"):
        imitation_loss(student_NK, teacher_NK, imitation).backward()
    assert teacher_NK.grad is None
