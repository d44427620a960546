"""Losses compared with float64 NumPy formulas, libraries, worked examples and finite differences."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from nas.space.recipe import Imbalance, Loss
from nas.training.optimization.losses import LOSSES, LossFunction, bind_loss, effective_number_weights

COUNTS = (500, 20, 1, 3000)
NO_TREATMENT = Imbalance()
ALL_LOSSES = [
    Loss(), Loss(label_smoothing=0.1), Loss(name="focal", gamma=0.5), Loss(name="focal"), Loss(name="all_class"),
    Loss(name="all_class", penalty=0.3, threshold=0.2), Loss(name="balanced_softmax"),
    Loss(name="logit_adjustment", tau=0.5), Loss(name="logit_adjustment", tau=1.5, label_smoothing=0.2),
    Loss(name="ldam"),
]  # fmt: skip


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def _expected(loss: Loss, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    rows, num_classes = np.arange(len(labels)), logits.shape[1]
    frequencies = np.array(COUNTS) / sum(COUNTS)
    match loss.name:
        case "focal":
            log_p = _log_softmax(logits)[rows, labels]
            return -((1 - np.exp(log_p)) ** loss.parameter("gamma")) * log_p
        case "all_class":
            p = np.exp(_log_softmax(logits))
            values = []
            for row, label in zip(p, labels, strict=True):
                wrong = [q for k, q in enumerate(row) if k != label and q > loss.parameter("threshold")]
                values.append(-np.log(row[label]) - loss.parameter("penalty") * sum(np.log(1 - q) for q in wrong))
            return np.array(values)
        case "ldam":
            margins = np.array(COUNTS, dtype=float) ** -0.25
            logits = logits.copy()
            logits[rows, labels] -= (loss.parameter("max_margin") * margins / margins.max())[labels]
        case "balanced_softmax":
            # Ren et al.'s own form: exp(z_k) weighted by the class's count.
            weighted = np.array(COUNTS) * np.exp(logits)
            return -np.log(weighted[rows, labels] / weighted.sum(1))
        case "logit_adjustment":
            logits = logits + loss.parameter("tau") * np.log(frequencies)
    smoothing = loss.parameters.get("label_smoothing", 0.0)
    targets = np.full(logits.shape, smoothing / num_classes)
    targets[rows, labels] += 1 - smoothing
    return -(targets * _log_softmax(logits)).sum(1)


def _batch(seed: int, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits_NK = scale * torch.randn(7, len(COUNTS), generator=generator, dtype=torch.float64)
    return logits_NK, torch.randint(len(COUNTS), (7,), generator=generator)


def _bound(loss: Loss, imbalance: Imbalance = NO_TREATMENT, share_done: float = 0.0) -> LossFunction:
    return bind_loss(loss, imbalance, torch.tensor(COUNTS), share_done)


def test_the_recipe_and_the_functions_agree_on_names_and_parameters() -> None:
    keywords = {
        name: {p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY}
        for name, function in LOSSES.items()
    }
    expected = {name: set(parameters) for name, parameters in Loss.PARAMETERS.items()}
    # The deferred weights are applied outside of LDAM's formula, in `bind_loss`.
    expected["ldam"] -= {"deferral", "deferred_beta"}
    assert keywords == expected


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=str)
@given(seed=st.integers(0, 10_000))
def test_formula(loss: Loss, seed: int) -> None:
    logits_NK, labels_N = _batch(seed)
    expected = _expected(loss, logits_NK.numpy(), labels_N.numpy())
    np.testing.assert_allclose(_bound(loss)(logits_NK, labels_N).numpy(), expected, rtol=1e-6, atol=1e-9)
    if loss.parameters.get("threshold", 0.0) == 0.0:  # A probability at the threshold may fall on either side.
        np.testing.assert_allclose(_bound(loss)(logits_NK.float(), labels_N).numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=str)
@pytest.mark.parametrize("imbalance", [NO_TREATMENT, Imbalance(name="reweighting", beta=0.99)], ids=str)
def test_gradient_agrees_with_finite_differences(loss: Loss, imbalance: Imbalance) -> None:
    logits_NK, labels_N = _batch(1)
    function = _bound(loss, imbalance, share_done=0.9)
    assert torch.autograd.gradcheck(lambda logits: function(logits, labels_N), logits_NK.requires_grad_())


def test_cross_entropy_is_that_of_scikit_learn() -> None:
    logits_NK, labels_N = _batch(4)
    expected = log_loss(labels_N.numpy(), logits_NK.softmax(1).numpy(), labels=range(len(COUNTS)))
    assert float(_bound(Loss())(logits_NK, labels_N).mean()) == pytest.approx(expected)


def test_worked_numbers() -> None:
    # p = 0.9 and γ = 2: a hundredth of the cross entropy (Lin et al., 2017, section 3.2).
    logits_NK = torch.tensor([[np.log(0.9), np.log(0.1)]])
    function = bind_loss(Loss(name="focal", gamma=2.0), NO_TREATMENT, torch.tensor([1, 1]))
    assert float(function(logits_NK, torch.tensor([0]))) == pytest.approx(-0.01 * np.log(0.9), rel=1e-5)
    # Three classes at 0.5, 0.3, 0.2, λ = 2, first one true: -log 0.5 - 2 (log 0.7 + log 0.8).
    logits_NK = torch.tensor([[0.5, 0.3, 0.2]]).log()
    function = bind_loss(Loss(name="all_class", penalty=2.0), NO_TREATMENT, torch.tensor([1, 1, 1]))
    assert float(function(logits_NK, torch.tensor([0]))) == pytest.approx(
        0.693147 + 2 * (0.356675 + 0.223144), rel=1e-5
    )
    # With a threshold of 0.25 the class at 0.2 is not penalised.
    function = bind_loss(Loss(name="all_class", penalty=2.0, threshold=0.25), NO_TREATMENT, torch.tensor([1, 1, 1]))
    assert float(function(logits_NK, torch.tensor([0]))) == pytest.approx(0.693147 + 2 * 0.356675, rel=1e-5)


def test_special_cases_are_cross_entropy() -> None:
    logits_NK, labels_N = _batch(2)
    plain = _bound(Loss())(logits_NK, labels_N)
    for loss in (
        Loss(name="focal", gamma=0.0), Loss(name="all_class", penalty=0.0), Loss(name="logit_adjustment", tau=0.0),
        Loss(name="ldam", max_margin=0.0),
    ):  # fmt: skip
        torch.testing.assert_close(_bound(loss)(logits_NK, labels_N), plain)
    adjusted, balanced = (
        _bound(loss)(logits_NK, labels_N) for loss in (Loss(name="logit_adjustment"), Loss(name="balanced_softmax"))
    )
    torch.testing.assert_close(adjusted, balanced)


def test_beta_zero_is_no_reweighting_and_more_is() -> None:
    logits_NK, labels_N = _batch(3)
    for loss in (Loss(), Loss(name="focal")):
        plain, same, weighted = (
            _bound(loss, imbalance)(logits_NK, labels_N)
            for imbalance in (
                NO_TREATMENT, Imbalance(name="reweighting", beta=0.0), Imbalance(name="reweighting", beta=0.999)
            )
        )  # fmt: skip
        torch.testing.assert_close(same, plain)
        weights_K = effective_number_weights(torch.tensor(COUNTS), 0.999)
        torch.testing.assert_close(weighted, plain * weights_K[labels_N].double())


def test_ldam_reweights_once_its_deferral_is_over() -> None:
    logits_NK, labels_N = _batch(5)
    loss = Loss(name="ldam", deferral=0.8, deferred_beta=0.9999)
    early, late = (_bound(loss, share_done=share)(logits_NK, labels_N) for share in (0.79, 0.8))
    np.testing.assert_allclose(early.numpy(), _expected(loss, logits_NK.numpy(), labels_N.numpy()))
    weights_K = effective_number_weights(torch.tensor(COUNTS), 0.9999)
    torch.testing.assert_close(late, early * weights_K[labels_N].double())


@given(counts=st.lists(st.integers(1, 100_000), min_size=2, max_size=8), beta=st.floats(0.0, 0.99999))
def test_weights_are_those_of_cui_et_al(counts: list[int], beta: float) -> None:
    # Effective number as the sum of its geometric series (their equation 2), not as its closed form.
    effective = np.array([np.sum(beta ** np.arange(count, dtype=np.float64)) for count in counts])
    weights = 1 / effective
    actual = effective_number_weights(torch.tensor(counts), beta)
    assert actual.dtype == torch.float32
    np.testing.assert_allclose(actual.numpy(), weights * len(counts) / weights.sum(), rtol=1e-6)


def test_beta_one_is_scikit_learns_balanced_weight() -> None:
    labels = np.repeat(np.arange(len(COUNTS)), COUNTS)
    balanced = compute_class_weight("balanced", classes=np.arange(len(COUNTS)), y=labels)
    actual = effective_number_weights(torch.tensor(COUNTS), 1.0)
    np.testing.assert_allclose(actual.numpy(), balanced / balanced.mean(), rtol=1e-6)


def test_a_class_without_training_images_weighs_as_one_with_a_single_image() -> None:
    absent, single = (effective_number_weights(torch.tensor([count, 50]), 0.99) for count in (0, 1))
    assert torch.equal(absent, single)


@pytest.mark.parametrize("loss", [*ALL_LOSSES, Loss(name="focal", gamma=10.0)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("right", [True, False])
def test_extreme_logits_have_finite_losses_and_gradients(loss: Loss, dtype: torch.dtype, right: bool) -> None:
    logits_NK = torch.full((2, len(COUNTS)), -100.0, dtype=dtype)
    logits_NK[:, 1] = 100.0
    logits_NK.requires_grad_()
    value = _bound(loss)(logits_NK, torch.tensor([1, 1] if right else [0, 2])).mean()
    value.backward()
    assert torch.isfinite(value)
    assert logits_NK.grad is not None
    assert torch.isfinite(logits_NK.grad).all()
    # With label smoothing, extreme logits have a positive loss even for the true class.
    assert value.item() < 100.0 if right else value.item() > 100.0
    if not right:
        # Descent lowers the winning logit.
        assert bool((logits_NK.grad[:, 1] > 0).all())


def test_all_class_is_exact_for_an_extreme_logit() -> None:
    # 1 - p of the winner is 2 exp(-200): in float32 its logarithm would be -inf if p were formed first.
    logits_NK = torch.tensor([[-100.0, 100.0, -100.0]])
    function = bind_loss(Loss(name="all_class"), NO_TREATMENT, torch.tensor([1, 1, 1]))
    assert float(function(logits_NK, torch.tensor([0]))) == pytest.approx(200 + 200 - np.log(2), rel=1e-6)
