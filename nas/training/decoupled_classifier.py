"""What becomes of the last layer once the features are trained: refitted, rescaled, replaced, or shifted.

Every function works on features that were computed once, and returns a new linear layer of the same shape, so that an
exported file stays one network.

Dimensions: N images, D features, K classes.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC
from torch import Tensor, nn, optim
from torch.nn import functional

from nas.data.sampling.class_balanced_sampling import ClassSampler
from nas.training.classification_metrics import confusion_matrix, macro_f1

_TAUS = tuple(step / 10 for step in range(11))
_STRENGTHS = tuple(step / 20 for step in range(41))
_BATCH = 512
_PEAK_RATE = 0.01
_MIN_STD = 1e-6
_SVM_ITERATIONS = 1000
_ABSENT_BIAS = -1e4


def retrain_classifier(features_ND: Tensor, labels_N: Tensor, num_classes: int, *, epochs: int, seed: int) -> nn.Linear:
    """A new classifier on finished features, from class-balanced draws (cRT).

    AdamW with a learning rate that falls by a cosine, on standardised features, so that one rate does for all networks.

    Source: Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition", 2020, section 4.1.
    """
    mean_D, std_D = _standardization(features_ND)
    inputs_ND = (features_ND - mean_D) / std_D
    device = features_ND.device
    weight_KD = torch.zeros(num_classes, features_ND.shape[1], device=device, requires_grad=True)
    bias_K = torch.zeros(num_classes, device=device, requires_grad=True)
    optimizer = optim.AdamW([weight_KD, bias_K], lr=_PEAK_RATE, weight_decay=1e-2)
    sampler = ClassSampler(labels_N.cpu(), 0.0, seed)
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
    return _unstandardized(weight_KD.detach(), bias_K.detach(), mean_D, std_D)


def normalize_classifier(classifier: nn.Linear, tau: float) -> nn.Linear:
    """Each class's weights over their norm to the power τ, and no bias.

    Source: Kang et al., 2020, equation 4.
    """
    weight_KD = classifier.weight.detach()
    norms_K1 = torch.linalg.vector_norm(weight_KD, dim=1, keepdim=True).clamp_min(_MIN_STD)
    return _linear(weight_KD / norms_K1**tau, torch.zeros_like(weight_KD[:, 0]))


def best_tau(classifier: nn.Linear, features_ND: Tensor, labels_N: Tensor) -> float:
    """The τ of 0, 0.1 … 1 whose classifier has the highest macro-F1 on these images; of equal ones the smallest."""
    with torch.no_grad():
        scores = [_macro_f1(normalize_classifier(classifier, tau)(features_ND), labels_N) for tau in _TAUS]
    return _TAUS[int(np.argmax(scores))]


def svm_classifier(features_ND: Tensor, labels_N: Tensor, num_classes: int, *, c: float) -> nn.Linear:
    """A linear support vector machine, one class against the rest, each class weighted by its rarity.

    On standardised features, which are folded into the layer. A class without an image is never predicted.

    Source: scikit-learn's `LinearSVC` (LIBLINEAR, Fan et al., 2008).
    """
    mean_D, std_D = _standardization(features_ND)
    inputs = ((features_ND - mean_D) / std_D).cpu().numpy()
    machine = LinearSVC(C=c, class_weight="balanced", dual="auto", max_iter=_SVM_ITERATIONS, tol=1e-3, random_state=0)
    with warnings.catch_warnings():
        # Stopped a little short of the optimum it classifies as well, and its time is bounded.
        warnings.simplefilter("ignore", ConvergenceWarning)
        machine.fit(inputs, labels_N.cpu().numpy())
    weight, bias = machine.coef_, machine.intercept_
    if len(machine.classes_) == 2:
        # Of two classes it keeps one plane; the other class's is its mirror image.
        weight, bias = np.concatenate([-weight, weight]), np.concatenate([-bias, bias])
    weight_KD = features_ND.new_zeros(num_classes, features_ND.shape[1])
    bias_K = features_ND.new_full((num_classes,), _ABSENT_BIAS)
    classes = torch.from_numpy(machine.classes_).to(features_ND.device)
    weight_KD[classes] = torch.from_numpy(weight).to(weight_KD)
    bias_K[classes] = torch.from_numpy(bias).to(bias_K)
    return _unstandardized(weight_KD, bias_K, mean_D, std_D)


def adjusted(classifier: nn.Linear, log_prior_K: Tensor, strength: float) -> nn.Linear:
    """The classifier with its bias lowered by `strength` times the log class frequencies.

    Source: Menon et al., "Long-tail learning via logit adjustment", 2021, equation 9.
    """
    return _linear(classifier.weight.detach(), classifier.bias.detach() - strength * log_prior_K)


def best_strength(logits_NK: Tensor, labels_N: Tensor, log_prior_K: Tensor) -> tuple[float, float, float]:
    """The strength of 0, 0.05 … 2 with the highest macro-F1 on these images; of equal ones the smallest.

    Returns:
        The strength, the macro-F1 without adjustment, and with it.
    """
    scores = [_macro_f1(logits_NK - strength * log_prior_K, labels_N) for strength in _STRENGTHS]
    best = int(np.argmax(scores))
    return _STRENGTHS[best], scores[0], scores[best]


def _macro_f1(logits_NK: Tensor, labels_N: Tensor) -> float:
    return macro_f1(confusion_matrix(labels_N, logits_NK.argmax(1), logits_NK.shape[1]))


def _standardization(features_ND: Tensor) -> tuple[Tensor, Tensor]:
    std_D = features_ND.std(0, correction=0)
    # A feature that never changes says nothing; scaled by 1 it stays 0.
    return features_ND.mean(0), torch.where(std_D > _MIN_STD, std_D, 1.0)


def _unstandardized(weight_KD: Tensor, bias_K: Tensor, mean_D: Tensor, std_D: Tensor) -> nn.Linear:
    """The layer that does to features what another does to standardised ones."""
    raw_KD = weight_KD / std_D
    return _linear(raw_KD, bias_K - raw_KD @ mean_D)


def _linear(weight_KD: Tensor, bias_K: Tensor) -> nn.Linear:
    linear = nn.Linear(weight_KD.shape[1], weight_KD.shape[0], device="meta")
    linear.weight, linear.bias = nn.Parameter(weight_KD.clone()), nn.Parameter(bias_K.clone())
    return linear
