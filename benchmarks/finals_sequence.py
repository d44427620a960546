"""Simulated finals: how often is the answer of a fixed sequence truly worse than the baseline by more than the margin?

    python benchmarks/finals_sequence.py [--studies 1000] [--scenario NAME]

A study has a baseline and five finalists of ever smaller size with known true macro-F1. Each network is trained from
several seeds, whose true scores vary; each of these classifies the same test images. An image has one difficulty for
all networks, so that their errors are correlated. The program's own functions test the finalists in order.

Scenarios: sizes of test sets and numbers of seeds as in the studies of this project; true scores that put the whole
weight on the test (a finalist worse by barely more than the margin, first or later in the sequence, or all of them), or
that fall down the front as they do in a search.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from nas.finals.finalist_result import compare_at_looks
from nas.results.predictions_on_test_images import Predictions
from nas.study.final_runs import FinalsSpec

MARGIN = 0.01
# Truly worse, by barely more than the margin: the case in which a test errs most.
BARELY_WORSE = -MARGIN - 1e-4

FALLING = (0.002, 0.0, -0.004, -0.009, -0.014)
FIRST_IS_WORSE = (BARELY_WORSE,) * 5
THIRD_IS_WORSE = (0.01, 0.005, BARELY_WORSE, BARELY_WORSE, -0.02)
LAST_IS_WORSE = (0.02, 0.015, 0.01, 0.008, BARELY_WORSE)


@dataclass(frozen=True)
class TestSet:
    """Test set with the baseline's macro-F1 on it.

    Attributes:
        imbalance: Images of the most frequent class for one of the rarest.
        correlation: Correlation of the latent difficulty of an image for two networks.
    """

    num_images: int
    num_classes: int
    imbalance: float
    baseline_f1: float
    correlation: float = 0.8

    @property
    def shares_K(self) -> NDArray[np.float64]:
        """Share of each class."""
        weights_K = np.geomspace(1.0, 1.0 / self.imbalance, self.num_classes)
        return weights_K / weights_K.sum()

    @cached_property
    def _macro_f1_of_accuracies(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        accuracies = np.linspace(0.01, 0.99999, 5000)
        shares_K = self.shares_K
        correct = accuracies[:, None] * shares_K
        predicted = correct + (1 - accuracies[:, None]) * (1 - shares_K) / (self.num_classes - 1)
        return (2 * correct / (shares_K + predicted)).mean(1), accuracies

    def accuracy(self, macro_f1: float) -> float:
        """Accuracy, equal in all classes, with this macro-F1 where errors go to all other classes alike."""
        return float(np.interp(macro_f1, *self._macro_f1_of_accuracies))


DATA = {
    "digits": TestSet(270, 10, 1.0, 0.97),
    "photos": TestSet(120, 6, 3.0, 0.9),
    "EMNIST": TestSet(16_000, 62, 60.0, 0.75),
    "CIFAR-10": TestSet(5_000, 10, 1.0, 0.86),
}


def simulate(
    data: TestSet, gaps: tuple[float, ...], seeds: int, sd: float, generator: np.random.Generator
) -> tuple[int, int]:
    """Return the number of finalists that held in one study: with tests at `seeds`, and also at twice as many.

    Args:
        gaps: True difference of each finalist from the baseline.
        sd: Standard deviation of the true macro-F1 over the seeds of a network.
    """
    labels_N = generator.choice(data.num_classes, data.num_images, p=data.shares_K)
    difficulty_N = np.float32(np.sqrt(data.correlation)) * generator.standard_normal(data.num_images, dtype=np.float32)
    wrong_N = (labels_N + generator.integers(1, data.num_classes, data.num_images)) % data.num_classes

    def one_seed(mean_f1: float) -> Predictions:
        accuracy = data.accuracy(mean_f1 + sd * generator.standard_normal())
        own_N = np.sqrt(1 - data.correlation) * generator.standard_normal(data.num_images, dtype=np.float32)
        is_correct_N = difficulty_N + own_N < stats.norm.ppf(accuracy)
        return _Classes(np.where(is_correct_N, labels_N, wrong_N), labels_N, data.num_classes)

    baseline, held = _Seeds(partial(one_seed, data.baseline_f1)), [0, 0]
    specs = [FinalsSpec(study="s", runs=(), sequence=(1,), looks=looks) for looks in ((seeds,), (seeds, 2 * seeds))]
    undecided = [0, 1]
    for gap in gaps:
        finalist = _Seeds(partial(one_seed, data.baseline_f1 + gap))
        decisions = {index: compare_at_looks(finalist, baseline, specs[index], MARGIN).decision for index in undecided}
        undecided = [index for index, decision in decisions.items() if decision == "held"]
        for index in undecided:
            held[index] += 1
        if not undecided:
            break
    return held[0], held[1]


class _Seeds(dict[int, Predictions]):
    """Predictions by seed, each drawn when a test first reads it."""

    def __init__(self, draw: Callable[[], Predictions]) -> None:
        super().__init__()
        self._draw = draw

    def __contains__(self, seed: object) -> bool:
        return True

    def __missing__(self, seed: int) -> Predictions:
        self[seed] = self._draw()
        return self[seed]


class _Classes(Predictions):
    """Predictions known by their classes alone: the comparison reads nothing else of them."""

    def __init__(self, classes_N: NDArray[np.int64], labels_N: NDArray[np.int64], num_classes: int) -> None:
        super().__init__(np.broadcast_to(np.float32(0), (len(labels_N), num_classes)), labels_N)
        object.__setattr__(self, "_classes_N", classes_N)

    @property
    def classes(self) -> NDArray[np.int64]:
        return self.__dict__["_classes_N"]  # type: ignore[no-any-return]


SCENARIOS = {
    "first": FIRST_IS_WORSE,
    "third": THIRD_IS_WORSE,
    "last": LAST_IS_WORSE,
    "falling": FALLING,
}


def main() -> None:
    """Print the share of wrong answers, and the mean place of the answer, for each test set and scenario."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--data", choices=DATA, default=None)
    arguments = parser.parse_args()
    print(f"{arguments.studies} studies each; wrong: the answer is worse by more than {MARGIN:g}")
    print("test images  seeds     sd  true scores    wrong  wrong if seeds are doubled   mean place of the answer")
    for name, data in DATA.items():
        if arguments.data not in (None, name):
            continue
        for seeds, sd in ((5, 0.003), (5, 0.01), (3, 0.005)):
            for scenario, gaps in SCENARIOS.items():
                generator = np.random.default_rng(20)
                places = np.array([simulate(data, gaps, seeds, sd, generator) for _ in range(arguments.studies)])
                is_worse = np.array([False, *(gap < -MARGIN for gap in gaps)])
                wrong, raised = is_worse[places].mean(0)
                place = places[:, 0].mean()
                print(
                    f"{name:12} {seeds:5} {sd:6}  {scenario:11} {wrong:8.1%} {raised:27.1%} {place:26.2f}", flush=True
                )


if __name__ == "__main__":
    main()
