"""Distillation losses compared with worked numbers, float64 NumPy formulas and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import Tensor

from nas.space.recipe import Distillation
from nas.training.optimization.distillation import distillation_loss

PLAIN, STANDARDIZED = Distillation(name="logits"), Distillation(name="standardized_logits", temperature=2.0)


def _logits(seed: int) -> Tensor:
    return 3 * torch.randn(6, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_worked_number() -> None:
    # At T = 2 the teacher's (2 log 3, 0) is (3/4, 1/4), the student's equal logits are (1/2, 1/2):
    # KL = 3/4 log(3/2) + 1/4 log(1/2), times T² = 4.
    teacher_NK, student_NK = torch.tensor([[2 * math.log(3), 0.0]]), torch.tensor([[1.0, 1.0]])
    loss = distillation_loss(student_NK, teacher_NK, Distillation(name="logits", temperature=2.0))
    assert float(loss) == pytest.approx(3 * math.log(1.5) + math.log(0.5), rel=1e-6)


def test_a_worked_number_of_z_scores() -> None:
    # The z-scores of two logits are 1 and -1 whatever they are: (7, 3) and (0.2, 0.1) agree, (0, 5) is the reverse.
    student_NK = torch.tensor([[0.2, 0.1], [0.0, 5.0]])
    agreeing, reversed_ = (
        distillation_loss(student_NK[[row]], torch.tensor([[7.0, 3.0]]), STANDARDIZED) for row in (0, 1)
    )
    assert float(agreeing) == pytest.approx(0.0, abs=1e-6)
    # p = softmax(±1 / 2): the divergence of a reversed pair is (p - q) log(p / q) = tanh(1/2) · 1, times T² = 4.
    assert float(reversed_) == pytest.approx(4 * math.tanh(0.5), rel=1e-5)


@pytest.mark.parametrize("distillation", [PLAIN, STANDARDIZED], ids=lambda one: one.name)
def test_formula(distillation: Distillation) -> None:
    student, teacher = _logits(1).numpy(), _logits(2).numpy()
    if distillation.name == "standardized_logits":
        student, teacher = ((z - z.mean(1, keepdims=True)) / z.std(1, keepdims=True) for z in (student, teacher))
    temperature = distillation.parameter("temperature")
    log_p, log_q = log_softmax(teacher / temperature, axis=1), log_softmax(student / temperature, axis=1)
    expected = temperature**2 * (np.exp(log_p) * (log_p - log_q)).sum(1).mean()
    assert float(distillation_loss(_logits(1), _logits(2), distillation)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("distillation", [PLAIN, STANDARDIZED], ids=lambda one: one.name)
def test_a_student_like_its_teacher_has_nothing_to_learn(distillation: Distillation) -> None:
    student_NK = _logits(3).requires_grad_()
    loss = distillation_loss(student_NK, _logits(3), distillation)
    loss.backward()
    assert student_NK.grad is not None
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-12)
    assert float(student_NK.grad.abs().max()) < 1e-12


@pytest.mark.parametrize("distillation", [PLAIN, STANDARDIZED], ids=lambda one: one.name)
def test_the_gradient_agrees_with_finite_differences_and_reaches_the_student_alone(distillation: Distillation) -> None:
    teacher_NK = _logits(4).requires_grad_()
    function = lambda student_NK: distillation_loss(student_NK, teacher_NK, distillation)  # noqa: E731
    assert torch.autograd.gradcheck(function, _logits(5).requires_grad_())
    function(_logits(5).requires_grad_()).backward()
    assert teacher_NK.grad is None


def test_z_scores_do_not_ask_for_the_range_of_the_teacher() -> None:
    student_NK, teacher_NK = _logits(6), _logits(7)
    scaled = distillation_loss(0.1 * student_NK + 5.0, teacher_NK, STANDARDIZED)
    torch.testing.assert_close(scaled, distillation_loss(student_NK, teacher_NK, STANDARDIZED))
    assert float(distillation_loss(0.1 * student_NK, teacher_NK, PLAIN)) != pytest.approx(
        float(distillation_loss(student_NK, teacher_NK, PLAIN)), rel=0.01
    )


@pytest.mark.parametrize("distillation", [PLAIN, STANDARDIZED], ids=lambda one: one.name)
def test_equal_and_extreme_logits_have_finite_gradients(distillation: Distillation) -> None:
    student_NK = torch.tensor([[0.0] * 4, [-100.0, 100.0, -100.0, -100.0]], dtype=torch.bfloat16, requires_grad=True)
    loss = distillation_loss(student_NK, torch.tensor([[100.0, 0.0, 0.0, 0.0], [0.0] * 4]), distillation)
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert student_NK.grad is not None
    assert torch.isfinite(student_NK.grad).all()
