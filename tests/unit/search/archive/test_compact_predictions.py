from __future__ import annotations

import numpy as np
import pytest

from nas.errors import ArchiveError
from nas.finals.paired_comparison import compare
from nas.results.predictions_on_test_images import Predictions
from nas.search.archive.compact_predictions import compact, expand


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def predictions(num_classes: int, scale: float, seed: int = 0, images: int = 500) -> Predictions:
    generator = np.random.default_rng(seed)
    labels = np.random.default_rng(99).integers(num_classes, size=images)
    logits = generator.standard_normal((images, num_classes)) + 2 * np.eye(num_classes)[labels]
    return Predictions((scale * logits).astype(np.float32), labels)


@pytest.mark.parametrize("num_classes", [2, 3, 10, 62, 300])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 30.0])
def test_classes_are_kept_exactly_and_the_first_probabilities_nearly(num_classes: int, scale: float) -> None:
    before = predictions(num_classes, scale)
    after = expand(compact(before), num_classes)
    assert np.array_equal(after.classes, before.classes)
    assert np.array_equal(after.labels, before.labels)
    first = softmax(before.logits.astype(np.float64)).max(1)
    assert softmax(after.logits.astype(np.float64)).max(1) == pytest.approx(first, abs=2e-3)


def test_ties_and_logits_that_are_no_numbers_keep_their_class() -> None:
    logits = np.array([[1, 1, 1, 1], [0, 5, 5, 0], [np.nan, 1, 2, 3], [np.inf, 0, np.inf, 0]], dtype=np.float32)
    before = Predictions(logits, np.array([0, 1, 2, 3]))
    assert np.array_equal(expand(compact(before), 4).classes, before.classes)


def test_every_comparison_is_the_same_again() -> None:
    ours, theirs = ([predictions(10, 1.0, seed) for seed in seeds] for seeds in ((1, 2, 3), (4, 5, 6)))
    again = [[expand(compact(one), 10) for one in side] for side in (ours, theirs)]
    assert compare(*again, margin=0.01) == compare(ours, theirs, margin=0.01)


def test_what_is_no_predictions_is_refused() -> None:
    content = compact(predictions(10, 1.0))
    with pytest.raises(ArchiveError, match="damaged"):
        expand(content[:-100], 10)
    with pytest.raises(ArchiveError, match="other classes than the study's 5"):
        expand(content, 5)
