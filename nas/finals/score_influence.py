"""Scores of predictions, and each image's influence on them: the delta method for any function of a confusion matrix.

Dimensions: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nas.finals.score_gradients import score_gradient
from nas.results.predictions_on_test_images import Predictions
from nas.study.score_definitions import MACRO_F1, Confusion, ScoreDefinition, score_definition

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_STEP = 1e-3
"""Step of the numerical derivative, in images; every cell that is stepped from has at least one."""


@dataclass(frozen=True)
class ComparedScore:
    """Score by which finals compare networks.

    Attributes:
        definition: The score.
        classes: Names of the classes.
    """

    definition: ScoreDefinition
    classes: tuple[str, ...] = ()
    _known: dict[Predictions, tuple[float, Floats]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def named(cls, name: str, classes: Sequence[str] = ()) -> ComparedScore:
        """Return the score of a name."""
        return cls(score_definition(name), tuple(classes))

    def of(self, predictions: Predictions) -> tuple[float, Floats]:
        """Return the score of predictions, and its derivative by each image's weight, [N].

        The derivatives of the built-in scores by the cells of the confusion matrix are formulas, of other scores they
        are numerical and kept, since a network is compared several times.
        """
        labels_N, predicted_N, num_classes = predictions.labels, predictions.classes, predictions.logits.shape[1]
        if self.definition.name == MACRO_F1:
            return macro_f1_and_influence(labels_N, predicted_N, num_classes)
        if predictions not in self._known:
            self._known[predictions] = self._by_cells(labels_N, predicted_N, num_classes)
        return self._known[predictions]

    def _by_cells(self, labels_N: Integers, predicted_N: Integers, num_classes: int) -> tuple[float, Floats]:
        confusion_KK = np.zeros((num_classes, num_classes))
        np.add.at(confusion_KK, (labels_N, predicted_N), 1.0)
        gradient_KK = score_gradient(self.definition.name, confusion_KK, self.classes)
        if gradient_KK is None:
            gradient_KK = self.numerical_gradient(confusion_KK)
        influence_N = gradient_KK[labels_N, predicted_N]
        # The weights of all images sum to a constant; only scores that change with the number of images need this.
        return self._value(confusion_KK), influence_N - influence_N.mean()

    def numerical_gradient(self, confusion_KK: Confusion) -> Confusion:
        """Return the derivative of the score by each cell that has images, [K, K]; 0 elsewhere.

        Source: five-point central difference, with an error of the fourth order.
        """
        gradient_KK = np.zeros_like(confusion_KK)
        for cell in zip(*np.nonzero(confusion_KK), strict=True):
            far, near = (self._difference(confusion_KK, cell, step) for step in (2 * _STEP, _STEP))
            gradient_KK[cell] = (8 * near - far) / (12 * _STEP)
        return gradient_KK

    def _difference(self, confusion_KK: Confusion, cell: tuple[int, ...], step: float) -> float:
        above_KK, below_KK = confusion_KK.copy(), confusion_KK.copy()
        above_KK[cell] += step
        below_KK[cell] -= step
        return self._value(above_KK) - self._value(below_KK)

    def _value(self, confusion_KK: Confusion) -> float:
        return self.definition.value(confusion_KK, self.classes)


MACRO_F1_SCORE = ComparedScore.named(MACRO_F1)


def macro_f1_and_influence(labels_N: Integers, predicted_N: Integers, num_classes: int) -> tuple[float, Floats]:
    """Return macro-F1 over the occurring classes, as in scikit-learn, and its derivative by each image's weight.

    A class has F1 = 2 TP / D, where D is the number of its labels and of its predictions. An image of weight w adds 2 w
    to 2 TP if it is correct, and w to D of its label and of its prediction.
    """
    is_correct_N = labels_N == predicted_N
    correct_K = np.bincount(labels_N[is_correct_N], minlength=num_classes)
    denominator_K = np.bincount(labels_N, minlength=num_classes) + np.bincount(predicted_N, minlength=num_classes)
    num_occurring = np.count_nonzero(denominator_K)
    divisor_K = np.maximum(denominator_K, 1)
    f1_K = 2 * correct_K / divisor_K
    gain_N = 2 * is_correct_N / divisor_K[labels_N]
    loss_N = f1_K[labels_N] / divisor_K[labels_N] + f1_K[predicted_N] / divisor_K[predicted_N]
    return float(f1_K.sum() / num_occurring), (gain_N - loss_N) / num_occurring
