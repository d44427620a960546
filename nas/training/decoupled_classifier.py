"""Decoupled classifier training: refit, rescale, replace or shift the final layer on frozen features.

Every function takes features that were computed once and returns a new linear layer of the same shape, so an exported
file stays one network.

Dimensions: N images, D features, K classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC
from torch import Tensor, nn, optim
from torch.nn import functional

from nas.data.sampling.samplers import ClassBalancedSampler
from nas.training.classification_metrics import confusion_matrix, macro_f1

_TAUS = tuple(step / 10 for step in range(11))
_STRENGTHS = tuple(step / 20 for step in range(41))
_BATCH = 512
_PEAK_RATE = 0.01
_MIN_STD = 1e-6
_SVM_ITERATIONS = 1000
_ABSENT_BIAS = -1e4

ConfusionScore = Callable[[Tensor], float]
"""Score by a confusion matrix [K, K]; higher is better."""


def retrain_classifier(features_ND: Tensor, labels_N: Tensor, num_classes: int, *, epochs: int, seed: int) -> nn.Linear:
    """Train a new classifier on frozen features with class-balanced sampling (cRT).

    AdamW with cosine annealing. Features are standardised, so one learning rate suits all networks.

    Source: Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition", 2020, section 4.1.
    """
    mean_D, std_D = _standardization(features_ND)
    inputs_ND = (features_ND - mean_D) / std_D
    device = features_ND.device
    weight_KD = torch.zeros(num_classes, features_ND.shape[1], device=device, requires_grad=True)
    bias_K = torch.zeros(num_classes, device=device, requires_grad=True)
    optimizer = optim.AdamW([weight_KD, bias_K], lr=_PEAK_RATE, weight_decay=1e-2)
    sampler = ClassBalancedSampler(labels_N.cpu(), 0.0, seed)
    num_steps = epochs * -(-len(labels_N) // _BATCH)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    for epoch in range(epochs):
        for chosen_B in torch.split(sampler.draws(epoch).first.to(device), _BATCH):
            logits_BK = functional.linear(inputs_ND[chosen_B], weight_KD, bias_K)
            loss = functional.cross_entropy(logits_BK, labels_N[chosen_B])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return _fold_standardization(weight_KD.detach(), bias_K.detach(), mean_D, std_D)


def normalize_classifier(classifier: nn.Linear, tau: float) -> nn.Linear:
    """τ-normalised classifier: each class's weights divided by their norm to the power τ, without bias.

    Source: Kang et al., 2020, equation 4.
    """
    weight_KD = classifier.weight.detach()
    norms_K1 = torch.linalg.vector_norm(weight_KD, dim=1, keepdim=True).clamp_min(_MIN_STD)
    return _linear(weight_KD / norms_K1**tau, torch.zeros_like(weight_KD[:, 0]))


def best_tau(classifier: nn.Linear, features_ND: Tensor, labels_N: Tensor, score: ConfusionScore = macro_f1) -> float:
    """Return the τ of 0, 0.1 … 1 with the highest score on the given images; the smallest on ties.

    Args:
        score: Function of a confusion matrix [K, K].
    """
    with torch.no_grad():
        scores = [_scored(normalize_classifier(classifier, tau)(features_ND), labels_N, score) for tau in _TAUS]
    return _TAUS[int(np.argmax(scores))]


def svm_classifier(features_ND: Tensor, labels_N: Tensor, num_classes: int, *, c: float) -> nn.Linear:
    """Linear one-vs-rest support vector machine with balanced class weights.

    It is fitted on standardised features; the standardisation is folded into the layer. A class without images is never
    predicted.

    Source: scikit-learn's `LinearSVC` (LIBLINEAR, Fan et al., 2008).
    """
    mean_D, std_D = _standardization(features_ND)
    inputs = ((features_ND - mean_D) / std_D).cpu().numpy()
    svm = LinearSVC(C=c, class_weight="balanced", dual="auto", max_iter=_SVM_ITERATIONS, tol=1e-3, random_state=0)
    with warnings.catch_warnings():
        # The iteration limit bounds the time; a fit slightly short of the optimum classifies equally well.
        warnings.simplefilter("ignore", ConvergenceWarning)
        svm.fit(inputs, labels_N.cpu().numpy())
    weight, bias = svm.coef_, svm.intercept_
    if len(svm.classes_) == 2:
        # For two classes LIBLINEAR stores one hyperplane; the other class has the negated one.
        weight, bias = np.concatenate([-weight, weight]), np.concatenate([-bias, bias])
    weight_KD = features_ND.new_zeros(num_classes, features_ND.shape[1])
    bias_K = features_ND.new_full((num_classes,), _ABSENT_BIAS)
    classes = torch.from_numpy(svm.classes_).to(features_ND.device)
    weight_KD[classes] = torch.from_numpy(weight).to(weight_KD)
    bias_K[classes] = torch.from_numpy(bias).to(bias_K)
    return _fold_standardization(weight_KD, bias_K, mean_D, std_D)


def adjust_classifier(classifier: nn.Linear, log_prior_K: Tensor, strength: float) -> nn.Linear:
    """Post-hoc logit adjustment: subtract `strength` times the log class frequencies from the bias.

    Source: Menon et al., "Long-tail learning via logit adjustment", 2021, equation 9.
    """
    return _linear(classifier.weight.detach(), classifier.bias.detach() - strength * log_prior_K)


def best_adjustment_strength(
    logits_NK: Tensor, labels_N: Tensor, log_prior_K: Tensor, score: ConfusionScore = macro_f1
) -> tuple[float, float, float]:
    """Find the strength of 0, 0.05 … 2 with the highest score on the given images; the smallest on ties.

    Args:
        score: Function of a confusion matrix [K, K].

    Returns:
        The strength, the score without adjustment, and the score with it.
    """
    scores = [_scored(logits_NK - strength * log_prior_K, labels_N, score) for strength in _STRENGTHS]
    best = int(np.argmax(scores))
    return _STRENGTHS[best], scores[0], scores[best]


def _scored(logits_NK: Tensor, labels_N: Tensor, score: ConfusionScore) -> float:
    return score(confusion_matrix(labels_N, logits_NK.argmax(1), logits_NK.shape[1]))


def _standardization(features_ND: Tensor) -> tuple[Tensor, Tensor]:
    std_D = features_ND.std(0, correction=0)
    # A constant feature carries no information; scaled by 1 it stays 0.
    return features_ND.mean(0), torch.where(std_D > _MIN_STD, std_D, 1.0)


def _fold_standardization(weight_KD: Tensor, bias_K: Tensor, mean_D: Tensor, std_D: Tensor) -> nn.Linear:
    """Linear layer on raw features that is equivalent to one on standardised features."""
    raw_KD = weight_KD / std_D
    return _linear(raw_KD, bias_K - raw_KD @ mean_D)


def _linear(weight_KD: Tensor, bias_K: Tensor) -> nn.Linear:
    linear = nn.Linear(weight_KD.shape[1], weight_KD.shape[0], device="meta")
    linear.weight, linear.bias = nn.Parameter(weight_KD.clone()), nn.Parameter(bias_K.clone())
    return linear
