from __future__ import annotations

import pytest

from nas.report.figures.option_effects import options_figure
from nas.search.analysis.front_summary import summarize_records
from nas.search.analysis.option_effects import explain_options
from nas.search.storage.trial_records import TrialRecord
from tests.tiny_study import tiny_spec
from tests.unit.report.figures.figure_text import plain_text
from tests.unit.search.examples import focal_trials, record


def test_options_are_their_differences_with_intervals() -> None:
    records = focal_trials()
    explanation = explain_options(records, summarize_records(tiny_spec(), records).front)
    figure = options_figure(explanation)
    (effect,) = [effect for effect in explanation.by_importance if effect.option.gene == "recipe.loss"]
    assert effect.difference is not None
    (place,) = [n for n, text in enumerate(figure.layout.yaxis.ticktext) if plain_text(text) == "loss: focal"]
    ((x, half, about),) = [
        (trace.x[n], trace.error_x.array[n], trace.customdata[n])
        for trace in figure.data
        for n, y in enumerate(trace.y)
        if y == place
    ]
    assert x == pytest.approx(effect.difference.mean, abs=1e-4) == pytest.approx(0.1, abs=1e-4)
    assert half == pytest.approx(effect.difference.high - effect.difference.mean, abs=1e-4)
    assert about[1] == effect.difference.pairs == 4


@pytest.mark.parametrize(
    ("trials", "text"),
    [
        ([], "Fewer than two trials have a result."),
        ([record(1, 0.5), record(2, 0.6)], "No option varies among the trials."),
        (focal_trials()[:4], "Too few pairs among 4 trials"),
    ],
)
def test_too_little_to_compare_is_said(trials: list[TrialRecord], text: str) -> None:
    figure = options_figure(explain_options(trials, trials[:1]))
    assert not figure.data
    assert text in plain_text(figure.layout.annotations[0].text.replace("<br>", " "))
