"""Classifiers on frozen features, compared with scikit-learn and NumPy formulas."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
from sklearn.svm import LinearSVC
from torch import Tensor, nn

from nas.training.classification_metrics import objective_score
from nas.training.decoupled_classifier import (
    adjust_classifier,
    best_adjustment_strength,
    best_tau,
    normalize_classifier,
    retrain_classifier,
    svm_classifier,
)

COUNTS = (400, 60, 8)


def _clusters(counts: tuple[int, ...], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Overlapping clusters of features, one per class, with unequal scales and far from 0."""
    generator = torch.Generator().manual_seed(seed)
    labels_N = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    centres = torch.tensor([[0.0, 0.0], [1.2, 0.0], [0.0, 1.2]])[: len(counts)]
    features_ND = centres[labels_N] + 0.7 * torch.randn(len(labels_N), 2, generator=generator)
    return features_ND * torch.tensor([10.0, 0.1]) + torch.tensor([50.0, -3.0]), labels_N


def _trained(features_ND: Tensor, labels_N: Tensor) -> nn.Linear:
    """Linear classifier trained with equal weights for all images."""
    linear = nn.Linear(features_ND.shape[1], int(labels_N.max()) + 1)
    mean, std = features_ND.mean(0), features_ND.std(0)
    optimizer = torch.optim.Adam(linear.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        nn.functional.cross_entropy(linear((features_ND - mean) / std), labels_N).backward()
        optimizer.step()
    with torch.no_grad():
        linear.weight /= std
        linear.bias -= linear.weight @ mean
    return linear


@torch.no_grad()
def _recalls(classifier: nn.Linear) -> list[float]:
    features_ND, labels_N = _clusters((500, 500, 500), seed=9)
    right_N = classifier(features_ND).argmax(1) == labels_N
    return [float(right_N[labels_N == label].float().mean()) for label in range(3)]


def test_retrained_on_balanced_draws_it_finds_the_rare_class() -> None:
    torch.manual_seed(0)
    features_ND, labels_N = _clusters(COUNTS)
    plain = _recalls(_trained(features_ND, labels_N))
    balanced = _recalls(retrain_classifier(features_ND, labels_N, 3, epochs=30, seed=0))
    assert balanced[2] > plain[2] + 0.3
    assert np.mean(balanced) > np.mean(plain) + 0.1


def test_retraining_repeats_with_its_seed() -> None:
    features_ND, labels_N = _clusters(COUNTS)
    one, same, other = (retrain_classifier(features_ND, labels_N, 3, epochs=2, seed=seed).weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.0])
def test_tau_divides_by_norms(tau: float) -> None:
    linear = nn.Linear(5, 3)
    weight = linear.weight.detach().double().numpy()
    expected = weight / np.sqrt((weight**2).sum(1, keepdims=True)) ** tau
    changed = normalize_classifier(linear, tau)
    np.testing.assert_allclose(changed.weight.detach().numpy(), expected, rtol=1e-5)
    assert changed.bias.tolist() == [0.0] * 3


def test_the_best_tau_is_the_best_of_the_grid() -> None:
    features_ND, labels_N = _clusters((100, 100, 100))
    features_ND = (features_ND - features_ND.mean(0)) / features_ND.std(0)
    linear = nn.Linear(2, 3)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[-9.0, -9.0], [1.5, -0.5], [-0.2, 0.7]]))
    scores = {}
    for tau in [step / 10 for step in range(11)]:
        predicted = normalize_classifier(linear, tau)(features_ND).argmax(1)
        scores[tau] = f1_score(labels_N, predicted, average="macro", zero_division=0)
    assert best_tau(linear, features_ND, labels_N) == max(scores, key=lambda tau: scores[tau])
    assert len(set(scores.values())) > 2


@pytest.mark.parametrize("num_classes", [2, 3])
def test_the_support_vector_machine_is_folded_in_exactly(num_classes: int) -> None:
    features_ND, labels_N = _clusters(COUNTS[:num_classes])
    linear = svm_classifier(features_ND, labels_N, num_classes, c=0.5)
    standardized = ((features_ND - features_ND.mean(0)) / features_ND.std(0, correction=0)).numpy()
    machine = LinearSVC(C=0.5, class_weight="balanced", dual="auto", tol=1e-3, random_state=0)
    expected = machine.fit(standardized, labels_N.numpy()).decision_function(standardized)
    logits = linear(features_ND).detach().numpy()
    np.testing.assert_allclose(logits[:, 1] if num_classes == 2 else logits, expected, rtol=1e-3, atol=1e-3)
    assert (logits.argmax(1) == machine.predict(standardized)).all()


def test_the_support_vector_machine_never_predicts_a_class_without_images() -> None:
    features_ND, labels_N = _clusters((50, 50))
    linear = svm_classifier(features_ND, labels_N * 2, 4, c=1.0)
    assert linear.weight.shape == (4, 2)
    assert set(linear(features_ND).argmax(1).tolist()) == {0, 2}


def test_a_feature_that_never_changes_is_left_alone() -> None:
    features_ND, labels_N = _clusters(COUNTS)
    features_ND = torch.cat([features_ND, torch.full((len(labels_N), 1), 7.0)], dim=1)
    for linear in (
        svm_classifier(features_ND, labels_N, 3, c=1.0), retrain_classifier(features_ND, labels_N, 3, epochs=1, seed=0)
    ):  # fmt: skip
        assert torch.isfinite(linear(features_ND)).all()


def test_adjusted_logits_are_written_out() -> None:
    linear, features_ND = nn.Linear(2, 3), torch.randn(10, 2)
    log_prior_K = torch.log(torch.tensor([0.7, 0.2, 0.1]))
    expected = linear(features_ND) - 0.6 * log_prior_K
    torch.testing.assert_close(adjust_classifier(linear, log_prior_K, 0.6)(features_ND), expected)


def test_full_strength_undoes_known_priors() -> None:
    """Bayes: log p(x | y) + log π is optimal for class priors π, and log p(x | y) for equal priors."""
    generator = torch.Generator().manual_seed(0)
    centres, priors = torch.tensor([0.0, 1.5, 3.0]), torch.tensor([0.9, 0.09, 0.01])
    labels_N = torch.randint(3, (30_000,), generator=generator)
    x_N = centres[labels_N] + torch.randn(len(labels_N), generator=generator)
    logits_NK = -0.5 * (x_N[:, None] - centres) ** 2 + priors.log()
    strength, before, after = best_adjustment_strength(logits_NK, labels_N, priors.log())
    assert strength == pytest.approx(1.0, abs=0.15)
    assert before == pytest.approx(f1_score(labels_N, logits_NK.argmax(1), average="macro"))
    assert after == pytest.approx(f1_score(labels_N, (logits_NK - strength * priors.log()).argmax(1), average="macro"))
    assert after > before + 0.1


def test_tau_and_strength_are_chosen_by_another_score() -> None:
    """Bayes: the posterior with its priors is optimal for accuracy, and without them for balanced accuracy."""
    generator = torch.Generator().manual_seed(0)
    centres, priors = torch.tensor([0.0, 1.5, 3.0]), torch.tensor([0.9, 0.09, 0.01])
    labels_N = torch.multinomial(priors, 30_000, replacement=True, generator=generator)
    x_N = centres[labels_N] + torch.randn(len(labels_N), generator=generator)
    logits_NK = -0.5 * (x_N[:, None] - centres) ** 2 + priors.log()
    chosen = {}
    for name in ("accuracy", "balanced_accuracy"):
        score = partial(objective_score, class_names=("a", "b", "c"), score=name)
        chosen[name], before, after = best_adjustment_strength(logits_NK, labels_N, priors.log(), score)
        reference = {"accuracy": accuracy_score, "balanced_accuracy": balanced_accuracy_score}[name]
        assert before == pytest.approx(reference(labels_N, logits_NK.argmax(1)))
        assert after == pytest.approx(reference(labels_N, (logits_NK - chosen[name] * priors.log()).argmax(1)))
    assert chosen["accuracy"] == pytest.approx(0.0, abs=0.15)
    assert chosen["balanced_accuracy"] == pytest.approx(1.0, abs=0.15)
    linear = nn.Linear(1, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[2.0], [-1.0]]))
    taken = []

    def record_tau(confusion_KK: torch.Tensor) -> float:
        taken.append(confusion_KK)
        return float(len(taken) == 4)

    assert best_tau(linear, torch.ones(3, 1), torch.zeros(3, dtype=torch.int64), record_tau) == 0.3
    assert len(taken) == 11


def test_what_helps_nothing_has_no_strength() -> None:
    logits_NK = 100.0 * torch.eye(3)
    assert best_adjustment_strength(logits_NK, torch.arange(3), torch.log(torch.tensor([0.5, 0.3, 0.2]))) == (
        0.0,
        1.0,
        1.0,
    )
