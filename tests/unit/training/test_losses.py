"""Losses against float64 formulas written out in NumPy, and finite differences."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nas.genome import LOSS_PARAMETERS, Loss
from nas.training.losses import LOSSES, bind_loss, effective_number_weights

COUNTS = (500, 20, 1, 3000)
ALL_LOSSES = [
    Loss(), Loss(name="focal", gamma=0.5), Loss(name="focal", gamma=2.0),
    Loss(name="class_balanced_focal", gamma=1.5, beta=0.99),
]  # fmt: skip


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def _expected(loss: Loss, logits: np.ndarray, labels: np.ndarray) -> float:
    log_p = _log_softmax(logits)[np.arange(len(labels)), labels]
    each = -((1 - np.exp(log_p)) ** (loss.gamma or 0.0)) * log_p
    if loss.beta is not None:
        weights = np.array([(1 - loss.beta) / (1 - loss.beta**count) for count in COUNTS])
        each = each * (weights * len(COUNTS) / weights.sum())[labels]
    return float(each.mean())


def _batch(seed: int, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits_NK = scale * torch.randn(7, len(COUNTS), generator=generator, dtype=torch.float64)
    return logits_NK, torch.randint(len(COUNTS), (7,), generator=generator)


def test_the_genome_and_the_functions_agree_on_names_and_parameters() -> None:
    keywords = {
        name: tuple(p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY)
        for name, function in LOSSES.items()
    }
    assert keywords == LOSS_PARAMETERS


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=str)
@given(seed=st.integers(0, 10_000))
def test_formula(loss: Loss, seed: int) -> None:
    logits_NK, labels_N = _batch(seed)
    function = bind_loss(loss, torch.tensor(COUNTS))
    expected = _expected(loss, logits_NK.numpy(), labels_N.numpy())
    assert float(function(logits_NK, labels_N)) == pytest.approx(expected, rel=1e-6)
    assert float(function(logits_NK.float(), labels_N)) == pytest.approx(expected, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=str)
def test_gradient_agrees_with_finite_differences(loss: Loss) -> None:
    logits_NK, labels_N = _batch(1)
    function = bind_loss(loss, torch.tensor(COUNTS))
    assert torch.autograd.gradcheck(lambda logits: function(logits, labels_N), logits_NK.requires_grad_())


def test_a_worked_number() -> None:
    # p = 0.9 and γ = 2: a hundredth of the cross entropy (Lin et al., 2017, section 3.2).
    logits_NK = torch.tensor([[np.log(0.9), np.log(0.1)]])
    function = bind_loss(Loss(name="focal", gamma=2.0), torch.tensor([1, 1]))
    assert float(function(logits_NK, torch.tensor([0]))) == pytest.approx(-0.01 * np.log(0.9), rel=1e-5)


def test_focal_without_focus_is_cross_entropy() -> None:
    logits_NK, labels_N = _batch(2)
    focal, plain = (bind_loss(loss, torch.tensor(COUNTS)) for loss in (Loss(name="focal", gamma=0.0), Loss()))
    torch.testing.assert_close(focal(logits_NK, labels_N), plain(logits_NK, labels_N))
    reference = torch.nn.CrossEntropyLoss()(logits_NK, labels_N)
    torch.testing.assert_close(plain(logits_NK, labels_N), reference)


def test_class_balance_zero_is_focal_and_more_is_not() -> None:
    logits_NK, labels_N = _batch(3)
    focal, unbalanced, balanced = (
        bind_loss(loss, torch.tensor(COUNTS))(logits_NK, labels_N)
        for loss in (
            Loss(name="focal", gamma=2.0),
            Loss(name="class_balanced_focal", gamma=2.0, beta=0.0),
            Loss(name="class_balanced_focal", gamma=2.0, beta=0.999),
        )
    )
    assert torch.equal(focal, unbalanced)
    assert not torch.isclose(focal, balanced, rtol=1e-3)


@given(
    counts=st.lists(st.integers(1, 100_000), min_size=2, max_size=8),
    beta=st.floats(0.0, 0.99999),
)
def test_weights_are_those_of_cui_et_al(counts: list[int], beta: float) -> None:
    # Effective number as the sum of its geometric series (their equation 2), not as its closed form.
    effective = np.array([np.sum(beta ** np.arange(count, dtype=np.float64)) for count in counts])
    weights = 1 / effective
    expected = weights * len(counts) / weights.sum()
    actual = effective_number_weights(torch.tensor(counts), beta)
    assert actual.dtype == torch.float32
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-6)


def test_a_class_without_training_images_weighs_as_one_with_a_single_image() -> None:
    assert torch.equal(
        effective_number_weights(torch.tensor([0, 50]), 0.99), effective_number_weights(torch.tensor([1, 50]), 0.99)
    )


@pytest.mark.parametrize("loss", [*ALL_LOSSES, Loss(name="focal", gamma=10.0)], ids=str)
@pytest.mark.parametrize("right", [True, False])
def test_extreme_logits_have_finite_losses_and_gradients(loss: Loss, right: bool) -> None:
    logits_NK = torch.full((2, len(COUNTS)), -100.0)
    logits_NK[:, 1] = 100.0
    logits_NK.requires_grad_()
    value = bind_loss(loss, torch.tensor(COUNTS))(logits_NK, torch.tensor([1, 1] if right else [0, 2]))
    value.backward()
    assert torch.isfinite(value)
    assert logits_NK.grad is not None
    assert torch.isfinite(logits_NK.grad).all()
    assert value.item() == 0.0 if right else value.item() > 100.0
    # Where the answer is wrong, descent lowers the winning logit.
    assert bool((logits_NK.grad[:, 1] > 0).all()) is not right
