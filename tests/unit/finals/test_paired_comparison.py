from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.metrics import f1_score

from nas.finals.paired_comparison import ALPHA, Difference, compare, interval_over_images
from nas.results.predictions_on_test_images import Predictions
from nas.results.seed_spread import Spread

K = 4


def predictions(labels: np.ndarray, accuracy: float, generator: np.random.Generator) -> Predictions:
    """Predictions that are correct with a probability, else random."""
    right = generator.random(len(labels)) < accuracy
    classes = np.where(right, labels, generator.integers(K, size=len(labels)))
    return Predictions(np.eye(K, dtype=np.float32)[classes], labels)


def network(labels: np.ndarray, accuracy: float, seeds: int, generator: np.random.Generator) -> list[Predictions]:
    """Predictions of several seeds whose accuracies vary by 0.02, independent of the images."""
    return [predictions(labels, accuracy + 0.02 * generator.standard_normal(), generator) for _ in range(seeds)]


def test_a_spread_is_students() -> None:
    spread = Spread.of([0.1, 0.2, 0.3, 0.4, 0.5])
    # t with 4 degrees of freedom: 2.776445 (Student, 1908; any table).
    half = 2.776445 * 0.15811388 / 5**0.5
    assert (spread.mean, spread.sd) == (pytest.approx(0.3), pytest.approx(0.15811388))
    assert (spread.low, spread.high) == (pytest.approx(0.3 - half, abs=1e-6), pytest.approx(0.3 + half, abs=1e-6))


def test_a_single_seed_has_no_spread_and_no_interval_leaves_0_to_1() -> None:
    assert Spread.of([0.7]) == Spread(0.7, None, None, None)
    assert Spread.of([0.9, 1.0]).high == 1.0


def test_with_one_seed_the_interval_is_that_of_a_bootstrap_of_scikit_learns_f1() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(K, size=600)
    ours, theirs = predictions(labels, 0.8, generator), predictions(labels, 0.7, generator)
    found = compare([ours], [theirs], margin=0.01)
    draws = [generator.integers(600, size=600) for _ in range(1000)]
    expected = [
        f1_score(labels[drawn], ours.classes[drawn], average="macro")
        - f1_score(labels[drawn], theirs.classes[drawn], average="macro")
        for drawn in draws
    ]
    whole = f1_score(labels, ours.classes, average="macro") - f1_score(labels, theirs.classes, average="macro")
    assert found.mean == pytest.approx(whole)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * np.std(expected), rel=0.08)
    assert found.num_seeds == 1


def test_the_interval_of_one_network_is_that_of_a_bootstrap_of_scikit_learns_f1() -> None:
    generator = np.random.default_rng(1)
    labels = generator.integers(K, size=600)
    ours = predictions(labels, 0.8, generator)
    low, high = interval_over_images(ours)
    draws = [generator.integers(600, size=600) for _ in range(1000)]
    scores = [f1_score(labels[drawn], ours.classes[drawn], average="macro") for drawn in draws]
    assert (low + high) / 2 == pytest.approx(f1_score(labels, ours.classes, average="macro"))
    assert (high - low) / 2 == pytest.approx(1.96 * np.std(scores), rel=0.08)


def test_a_number_is_compared_with_the_networks_variance_alone() -> None:
    generator = np.random.default_rng(2)
    labels = generator.integers(K, size=600)
    ours = predictions(labels, 0.8, generator)
    found = compare([ours], 0.7, margin=0.01)
    low, high = interval_over_images(ours)
    assert (found.low, found.high) == (pytest.approx(low - 0.7), pytest.approx(high - 0.7))
    assert found.p_worse < ALPHA
    assert compare(network(labels, 0.8, 3, generator), 0.7, margin=0.01).num_seeds == 3


def test_many_seeds_without_images_noise_are_compared_by_welchs_test() -> None:
    """All images are of one pattern, so that the images' variance is nearly 0 and the seeds' is all."""
    labels = np.arange(4000) % K
    generator = np.random.default_rng(3)

    def seeds(count: int) -> list[Predictions]:
        # Each seed is wrong on whole blocks of images with each class in equal number.
        wrong = [int(generator.integers(0, 100)) for _ in range(count)]
        return [
            Predictions(
                np.eye(K, dtype=np.float32)[np.where(np.arange(4000) < 4 * number, (labels + 1) % K, labels)], labels
            )
            for number in wrong
        ]

    ours, theirs = seeds(4), seeds(5)
    scores = [[f1_score(labels, one.classes, average="macro") for one in side] for side in (ours, theirs)]
    welch = stats.ttest_ind(*scores, equal_var=False, alternative="less")
    found = compare(ours, theirs, margin=0.0)
    assert found.mean == pytest.approx(np.mean(scores[0]) - np.mean(scores[1]))
    # The images add a little variance.
    assert found.p_worse == pytest.approx(1 - welch.pvalue, abs=0.02)


def test_the_bound_decides_as_the_p_value_does_and_is_the_90_percent_intervals_lower_end() -> None:
    generator = np.random.default_rng(2)
    labels = generator.integers(K, size=800)
    for accuracy in (0.76, 0.78, 0.8, 0.82):
        found = compare(network(labels, accuracy, 4, generator), network(labels, 0.8, 4, generator), margin=0.03)
        assert (found.bound > -0.03) == (found.p_worse < ALPHA)
        assert found.low < found.bound < found.mean
        at_bound = compare_margin(found.bound, found)
        assert at_bound == pytest.approx(ALPHA, abs=1e-6)


def compare_margin(bound: float, found: Difference) -> float:
    """p-value of the true difference being at most the bound, by the normal equations of the two intervals."""
    # t quantiles of 95 % and 97.5 % have a ratio that fixes the degrees of freedom.
    ratio = (found.mean - found.low) / (found.mean - bound)
    degrees = optimize.brentq(lambda df: stats.t.ppf(0.975, df) / stats.t.ppf(0.95, df) - ratio, 1.0, 1e6)
    error = (found.mean - bound) / stats.t.ppf(0.95, degrees)
    return float(stats.t.cdf((bound - found.mean) / error, degrees))


def test_a_class_that_is_absent_counts_as_in_scikit_learn() -> None:
    labels = np.array([0, 0, 1, 1])
    ours = Predictions(np.eye(K, dtype=np.float32)[[0, 0, 1, 2]], labels)
    theirs = Predictions(np.eye(K, dtype=np.float32)[[0, 0, 1, 1]], labels)
    found = compare([ours], [theirs], margin=0.01)
    assert found.mean == pytest.approx(f1_score(labels, [0, 0, 1, 2], average="macro") - 1.0)


def test_a_network_equals_itself() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(K, size=100)
    same = [predictions(labels, 0.8, generator)]
    found = compare(same, same, margin=0.01)
    assert (found.mean, found.low, found.high, found.p_equal) == (0.0, 0.0, 0.0, 1.0)
    assert found.p_worse < 0.001


def test_a_better_network_is_found_better_and_a_worse_one_worse() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(K, size=1000)
    good, poor = network(labels, 0.9, 5, generator), network(labels, 0.7, 5, generator)
    better, worse = compare(good, poor, margin=0.01), compare(poor, good, margin=0.01)
    assert better.p_equal < 0.01
    assert better.low > 0.1
    assert better.p_worse < 0.01
    assert worse.p_worse > 0.99
    assert worse.mean == pytest.approx(-better.mean)


@pytest.mark.parametrize("seeds", [2, 5])
def test_equal_networks_are_seldom_found_to_differ_though_their_seeds_do(seeds: int) -> None:
    """About 5 of 100 pairs that differ by seeds alone are false positives; the images' variance alone has dozens."""
    generator = np.random.default_rng(1)
    found = []
    for _ in range(100):
        labels = generator.integers(K, size=2000)
        pair = [network(labels, 0.8, seeds, generator) for _ in range(2)]
        found.append(compare(*pair, margin=0.01).p_equal < 0.05)
    assert np.mean(found) <= 0.09


def test_predictions_of_other_images_are_not_compared() -> None:
    generator = np.random.default_rng(0)
    ours, theirs = (predictions(generator.integers(K, size=50), 0.8, generator) for _ in range(2))
    with pytest.raises(ValueError, match="different images"):
        compare([ours], [theirs], margin=0.01)
