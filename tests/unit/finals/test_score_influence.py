"""Influences of images on a score, against formulas, the one of macro-F1 and bootstraps."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from nas.finals.paired_comparison import compare, interval_over_images
from nas.finals.score_gradients import score_gradient
from nas.finals.score_influence import MACRO_F1_SCORE, ComparedScore, macro_f1_and_influence
from nas.results.predictions_on_test_images import Predictions
from nas.study.score_definitions import Confusion, ScoreDefinition, score_definition
from tests.unit.finals.test_paired_comparison import K, network, predictions

CLASSES = ("a", "b", "c", "d")


def geometric_mean_of_recalls(confusion_KK: Confusion, classes: object) -> float:
    recalls_K = confusion_KK.diagonal() / np.maximum(confusion_KK.sum(1), 1e-9)
    return float(np.prod(recalls_K) ** (1 / len(recalls_K)))


OWN = ScoreDefinition("own", "own", geometric_mean_of_recalls)
SCORES = {
    "accuracy": metrics.accuracy_score,
    "balanced_accuracy": metrics.balanced_accuracy_score,
    "weighted_f1": lambda labels, classes: metrics.f1_score(labels, classes, average="weighted"),
    "recall:b": lambda labels, classes: metrics.recall_score(labels, classes, average=None)[1],
    "own": lambda labels, classes: np.prod(metrics.recall_score(labels, classes, average=None)) ** (1 / K),
}


def score_of(name: str) -> ComparedScore:
    return ComparedScore(OWN if name == "own" else score_definition(name), CLASSES)


@pytest.mark.parametrize("labels", [np.arange(300) % K, np.array([0, 0, 1, 1]), np.minimum(np.arange(40), 3)])
def test_the_numerical_derivative_of_macro_f1_is_the_formula(labels: np.ndarray) -> None:
    ours = predictions(labels, 0.6, np.random.default_rng(0))
    score, influence = macro_f1_and_influence(labels, ours.classes, K)
    assert MACRO_F1_SCORE.of(ours)[0] == score
    assert np.array_equal(MACRO_F1_SCORE.of(ours)[1], influence)
    numerical = MACRO_F1_SCORE._by_cells(labels, ours.classes, K)
    assert numerical[0] == pytest.approx(score, abs=1e-15)
    assert numerical[1] == pytest.approx(influence, abs=1e-11)


@pytest.mark.parametrize("name", [name for name in SCORES if name != "own"])
def test_the_formulas_are_the_numerical_derivatives(name: str) -> None:
    generator = np.random.default_rng(0)
    score = score_of(name)
    for highest in (3, 30):
        confusion = generator.integers(0, highest, (K, K)).astype(np.float64)
        confusion[0] = 0.0
        confusion[1, 1] = 2.0
        formula = score_gradient(name, confusion, CLASSES)
        assert formula is not None
        expected = score.numerical_gradient(confusion)
        assert formula[confusion > 0] == pytest.approx(expected[confusion > 0], abs=1e-10)
    assert score_gradient("own", confusion, CLASSES) is None


def test_the_interval_of_accuracy_is_that_of_a_proportion() -> None:
    labels = np.arange(600) % K
    ours = predictions(labels, 0.7, np.random.default_rng(0))
    accuracy = float((ours.classes == labels).mean())
    low, high = interval_over_images(ours, score_of("accuracy"))
    # 1.9639 is the quantile of Student's t with 599 degrees of freedom.
    assert (high - low) / 2 == pytest.approx(1.9639 * (accuracy * (1 - accuracy) / 599) ** 0.5, rel=1e-4)


@pytest.mark.parametrize("name", SCORES)
def test_the_interval_of_a_difference_is_that_of_a_bootstrap(name: str) -> None:
    generator = np.random.default_rng(0)
    labels = generator.choice(K, size=800, p=[0.4, 0.3, 0.2, 0.1])
    ours, theirs = predictions(labels, 0.8, generator), predictions(labels, 0.7, generator)
    found = compare([ours], [theirs], margin=0.01, score=score_of(name))
    score = SCORES[name]
    assert found.mean == pytest.approx(score(labels, ours.classes) - score(labels, theirs.classes))
    draws = [generator.integers(800, size=800) for _ in range(400)]
    differences = [
        score(labels[drawn], ours.classes[drawn]) - score(labels[drawn], theirs.classes[drawn]) for drawn in draws
    ]
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * np.std(differences), rel=0.12)


def test_a_score_that_changes_with_the_number_of_images_has_influences_around_0() -> None:
    smoothed = ScoreDefinition("s", "s", lambda confusion, classes: float(confusion.trace() / (confusion.sum() + 50)))
    labels = np.arange(200) % K
    ours = predictions(labels, 0.7, np.random.default_rng(0))
    _, influence = ComparedScore(smoothed, CLASSES).of(ours)
    # Of 200 images each has the share that it adds to the trace, over 250.
    right = ours.classes == labels
    assert influence == pytest.approx((right - right.mean()) / 250, abs=1e-11)


def test_a_perfect_network_has_no_interval_over_images() -> None:
    labels = np.arange(40) % K
    perfect = Predictions(np.eye(K, dtype=np.float32)[labels], labels)
    for name in SCORES:
        assert interval_over_images(perfect, score_of(name)) == pytest.approx((1.0, 1.0), abs=1e-9)


def test_of_equal_networks_with_other_seeds_about_5_percent_differ_in_accuracy() -> None:
    generator = np.random.default_rng(1)
    found = []
    for _ in range(100):
        labels = generator.integers(K, size=1000)
        pair = [network(labels, 0.8, 4, generator) for _ in range(2)]
        found.append(compare(*pair, margin=0.01, score=score_of("accuracy")).p_equal < 0.05)
    assert np.mean(found) <= 0.09
