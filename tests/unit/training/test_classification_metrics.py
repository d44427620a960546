"""Classification metrics compared with scikit-learn."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support
from sklearn.metrics import confusion_matrix as sklearn_confusion

from nas.training.classification_metrics import classification_scores, confusion_matrix

NAMES = tuple("abcdef")
PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=40)


@given(pairs=PAIRS)
def test_every_score_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    labels, predictions = zip(*pairs, strict=True)
    scores = classification_scores(confusion_matrix(torch.tensor(labels), torch.tensor(predictions), 6), NAMES)
    for average in ("macro", "micro"):
        expected = precision_recall_fscore_support(labels, predictions, average=average, zero_division=0)[:3]
        actual = [scores.summary[f"{name}_{average}"] for name in ("precision", "recall", "f1")]
        assert actual == pytest.approx(expected, abs=1e-12)
    assert scores.f1_macro == pytest.approx(f1_score(labels, predictions, average="macro"), abs=1e-12)
    assert scores.accuracy == pytest.approx(accuracy_score(labels, predictions))
    per_class = precision_recall_fscore_support(labels, predictions, labels=range(6), zero_division=0)
    for k, of_class in enumerate(scores.per_class):
        actual_class = (of_class.precision, of_class.recall, of_class.f1, of_class.support)
        assert actual_class == pytest.approx([values[k] for values in per_class], abs=1e-12)
        assert of_class.name == NAMES[k]
    assert scores.absent == tuple(NAMES[k] for k in range(6) if k not in labels)


@given(pairs=PAIRS)
def test_confusion_matrix(pairs: list[tuple[int, int]]) -> None:
    labels, predictions = zip(*pairs, strict=True)
    actual = confusion_matrix(torch.tensor(labels), torch.tensor(predictions), 6)
    assert actual.tolist() == sklearn_confusion(labels, predictions, labels=range(6)).tolist()


def test_by_hand() -> None:
    scores = classification_scores(torch.tensor([[3, 1, 0], [1, 1, 0], [0, 0, 0]]), "abc")
    assert (scores.accuracy, scores.f1_macro, scores.absent) == (4 / 6, (0.75 + 0.5) / 2, ("c",))
