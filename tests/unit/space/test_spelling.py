from __future__ import annotations

import pytest

from nas.space.spelling import did_you_mean, unknown_key_hint
from nas.study.study_spec import StudySpec


@pytest.mark.parametrize(
    ("location", "hint"),
    [
        (("descripton",), "; did you mean 'description'?"),
        (("budget", "epoch"), "; did you mean 'epochs'?"),
        (("data", "image-size"), "; did you mean 'image_size'?"),
        (("data", "Validation_Fraktion"), "; did you mean 'validation_fraction'?"),
        (("data", "pairs", "relations"), "; did you mean 'relation'?"),
        (("epochs",), "; did you mean 'budget.epochs'?"),
        (("data", "trials"), "; did you mean 'budget.trials'?"),
        (("budget", "colour_of_the_shed"), ""),
    ],
)
def test_a_key_that_is_nearly_right(location: tuple[str, ...], hint: str) -> None:
    assert unknown_key_hint(StudySpec, location) == hint


def test_words() -> None:
    assert did_you_mean("stem-widht", ["stem_width", "depth"]) == "; did you mean 'stem_width'?"
    assert did_you_mean("x", []) == ""
