from __future__ import annotations

import pytest

from nas.results.learning_curve import EpochProgress, duration_text


def test_progress_in_one_line() -> None:
    progress = EpochProgress(3, 30, 120, 469, 0.34567, 12345.6, 3725.0)
    assert progress.text == "epoch 3/30, batch 120/469: loss 0.3457, 12,346 images/s, 1 h 2 min left"


def test_the_evaluation_is_named() -> None:
    progress = EpochProgress(30, 30, 469, 469, 0.34567, 12345.6, 0.2, is_evaluating=True)
    assert progress.text == "epoch 30/30, evaluation: loss 0.3457, 12,346 images/s, 1 s left"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1 s"), (0.4, "1 s"), (1.6, "2 s"), (59.4, "59 s"), (60.0, "1 min"), (61.0, "1 min"), (119.0, "2 min"),
        (3540.0, "59 min"), (3599.0, "1 h 0 min"), (3600.0, "1 h 0 min"), (7800.0, "2 h 10 min"),
        (90000.0, "25 h 0 min"),
    ],
)  # fmt: skip
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
