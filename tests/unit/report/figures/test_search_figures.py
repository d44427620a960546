"""What is drawn, against what the records say."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import plotly.graph_objects as go
import pytest

from nas.report.figures.figure_style import family_style, params_axis
from nas.report.figures.option_effects import options_figure
from nas.report.figures.search_figures import (
    MAX_CURVES,
    MAX_POINTS,
    MAX_STOPPED,
    curves_figure,
    evenly,
    front_figure,
    hypervolume_figure,
    study_figures,
)
from nas.results.learning_curve import EpochRecord
from nas.search.analysis.front_summary import summarize_records
from nas.search.analysis.option_effects import Explanation, explain_options
from nas.search.storage.trial_records import TrialRecord
from nas.space.architecture import DenseNetArchitecture
from nas.space.genome import Genome
from tests.unit.search.examples import baseline, focal_trials, record, stopped

DENSENET = Genome(architecture=DenseNetArchitecture(stem_width=8, depths=(1, 2), growth_rate=4))


def trials() -> list[TrialRecord]:
    return [
        baseline(0.8),
        record(1, 0.5, 1_000),
        record(2, 0.9, 50_000, genome=DENSENET),
        record(3, 0.4, 2_000),
        record(4),
        record(5, 0.7, 9_000),
    ]


def front_of(records: list[TrialRecord]) -> go.Figure:
    return front_figure(records, summarize_records("s", records))


def plain(name: str) -> str:
    return re.sub("<[^>]+>", "", name)


def named(figure: go.Figure, name: str) -> list[Any]:
    return [trace for trace in figure.data if plain(trace.name or "") == name]


def points(traces: list[Any]) -> set[tuple[int, int, float]]:
    return {point for trace in traces for point in zip(trace.customdata, trace.x, trace.y, strict=True)}


def words(figure: go.Figure) -> str:
    """All text of a figure."""
    return plain(json.dumps(figure.to_dict()["layout"]["title"]).replace("<br>", " "))


def test_every_trial_with_a_result_is_a_point_of_its_family() -> None:
    figure = front_of(trials())
    assert points(named(figure, "vgg")) == {(1, 1_000, 0.5), (3, 2_000, 0.4), (5, 9_000, 0.7)}
    assert points(named(figure, "densenet")) == {(2, 50_000, 0.9)}
    assert "drawn" not in words(figure)


def test_members_of_the_front_are_larger_than_the_others() -> None:
    others, members = named(front_of(trials()), "vgg")
    assert set(others.customdata) == {3}
    assert set(members.customdata) == {1, 5}
    assert members.marker.size > others.marker.size
    assert [others.showlegend, members.showlegend] == [False, True]


def test_the_front_is_a_staircase_up_to_the_largest_network() -> None:
    (line,) = named(front_of(trials()), "front")
    assert list(line.x) == [1_000, 9_000, 50_000, 11_000_000]
    assert list(line.y) == [0.5, 0.7, 0.9, 0.9]
    assert line.line.shape == "hv"


def test_the_baseline_is_a_star_at_the_corner_of_its_quadrant() -> None:
    figure = front_of(trials())
    (star,) = [trace for trace in figure.data if trace.marker.symbol == "star"]
    assert (star.x, star.y) == ((11_000_000,), (0.8,))
    assert plain(star.text[0]) == "baseline (resnet18)"
    (quadrant,) = named(figure, "at least as good, and smaller")
    assert max(quadrant.x) == 11_000_000
    assert min(quadrant.x) < 1_000
    assert (min(quadrant.y), max(quadrant.y)) == (0.8, 1)


def test_without_a_baseline_there_is_neither_star_nor_quadrant() -> None:
    figure = front_of(trials()[1:])
    assert not named(figure, "at least as good, and smaller")
    assert not [trace for trace in figure.data if trace.marker.symbol == "star"]


def test_of_very_many_trials_the_front_is_whole_and_the_others_are_counted() -> None:
    many = [record(number, 0.3 + 1e-5 * number, 100_000 - number) for number in range(MAX_POINTS + 500)]
    many.append(record(len(many), 0.9, 1_000))
    figure = front_of(many)
    embed_figure = points(named(figure, "vgg"))
    assert len(embed_figure) == MAX_POINTS + 1
    assert (len(many) - 1, 1_000, 0.9) in embed_figure
    assert "2,000 of 2,500 trials off the front are drawn" in words(figure)


def test_families_differ_in_colour_and_in_marker() -> None:
    looks = [family_style(family) for family in ("vgg", "resnet", "densenet", "mobilenet", "new")]
    assert len({look.colour for look in looks}) == len({look.symbol for look in looks}) == len(looks)


@pytest.mark.parametrize(
    ("smallest", "largest"), [(9_000, 11_000_000), (100_000, 200_000), (10, 20_000_000), (5_000, 5_000)]
)
def test_parameters_have_a_few_labels_that_say_where_they_are(smallest: int, largest: int) -> None:
    made = params_axis(smallest, largest)
    low, high = made["range"]
    assert low < math.log10(smallest) <= math.log10(largest) < high
    assert all(low <= math.log10(tick) <= high for tick in made["tickvals"])
    assert 1 <= len(made["tickvals"]) <= 9
    units = {"k": 1e3, "M": 1e6, "G": 1e9}
    shown = [plain(label) for label in made["ticktext"]]
    values = [float(label.rstrip("kMG")) * units.get(label[-1], 1) for label in shown]
    assert values == pytest.approx(made["tickvals"])


def test_hypervolume_grows_over_trials_and_over_the_hours_of_their_training() -> None:
    over_trials, over_hours = hypervolume_figure(trials()).data
    # Against an own sum of rectangles: log10(10^7 / 1,000) is 4 decades.
    first = 4 * 0.5
    second = (7 - math.log10(50_000)) * 0.4 + first
    third = (7 - math.log10(9_000)) * 0.2 + (7 - math.log10(50_000)) * 0.2 + first
    assert list(over_trials.x) == [0, 1, 2, 5]
    assert list(over_trials.y) == pytest.approx([0, first, second, third], abs=1e-4)
    assert list(over_hours.x) == pytest.approx([count * 3.5 / 3600 for count in (0, 1, 2, 5)], abs=1e-4)
    assert over_hours.y == over_trials.y


def test_learning_curves_are_those_of_the_front_and_the_baseline() -> None:
    curve = tuple(EpochRecord(epoch, 1.0, 1.0, 0.1 * epoch, 0.5, 100.0, 1.0) for epoch in (1, 2, 3))
    records = [baseline(0.8), record(1, 0.5, curve=curve), record(2, 0.2, 2_000)]
    figure = curves_figure(summarize_records("s", records))
    assert [plain(trace.name) for trace in figure.data] == ["1 (vgg)", "baseline (resnet18)"]
    assert list(figure.data[0].x) == [1, 2, 3]
    assert list(figure.data[0].y) == pytest.approx([0.1, 0.2, 0.3])


def test_of_a_long_front_some_curves_are_drawn_and_the_figure_says_so() -> None:
    records = [record(number, 0.1 + number / 100, 1000 + number) for number in range(30)]
    figure = curves_figure(summarize_records("s", records))
    assert len(figure.data) == MAX_CURVES
    assert [plain(figure.data[place].name) for place in (0, -1)] == ["0 (vgg)", "29 (vgg)"]
    assert "12 of 30 are drawn" in words(figure)


def test_stopped_curves_lie_behind_in_one_trace_and_say_whose_they_are() -> None:
    records = [
        baseline(0.8), record(1, 0.5), stopped(2, 0.1, 0.2), stopped(3, 0.3), stopped(4, 0.1, 0.2, reused_from=2)
    ]  # fmt: skip
    figure = study_figures("s", records)["nas-curves"]
    first = figure.data[0]
    assert [plain(trace.name) for trace in figure.data] == ["stopped early", "1 (vgg)", "baseline (resnet18)"]
    assert list(first.x) == [1, 2, None, 1, None]
    assert list(first.y) == [0.1, 0.2, None, 0.3, None]
    assert list(first.customdata) == [2, 2, 2, 3, 3]
    assert [epoch for epoch, size in zip(first.x, first.marker.size, strict=True) if size] == [2, 1]


def test_of_very_many_stopped_trials_some_are_drawn_and_the_figure_is_small() -> None:
    records = [baseline(0.8), record(1, 0.5), *(stopped(2 + n, *[0.1] * 12) for n in range(900))]
    figure = study_figures("s", records)["nas-curves"]
    assert len(set(figure.data[0].customdata)) == MAX_STOPPED
    assert "40 of 900 stopped trials are drawn" in words(figure)
    assert len(figure.to_json()) < 20_000


def test_options_are_their_differences_with_intervals() -> None:
    records = focal_trials()
    explanation = explain_options(records, summarize_records("s", records).front)
    figure = options_figure(explanation)
    (effect,) = [effect for effect in explanation.by_importance if effect.option.gene == "recipe.loss"]
    assert effect.difference is not None
    (place,) = [n for n, text in enumerate(figure.layout.yaxis.ticktext) if plain(text) == "loss: focal"]
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
    assert text in plain(figure.layout.annotations[0].text.replace("<br>", " "))


def test_an_empty_study_has_four_figures_that_say_why_they_are_empty() -> None:
    for figure in study_figures("s", []).values():
        assert not figure.data
        assert figure.layout.annotations[0].text
    assert options_figure(Explanation(0, 0, ())).layout.annotations


def test_figures_are_small_and_carry_no_ground_of_their_own() -> None:
    for identifier, figure in study_figures("s", trials()).items():
        assert identifier.startswith("nas-")
        assert len(figure.to_json()) < 8_000, identifier
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0, 0, 0, 0)"


def test_a_sample_holds_both_ends() -> None:
    records = [record(number) for number in range(10)]
    assert [one.number for one in evenly(records, 4)] == [0, 3, 6, 9]
    assert evenly(records, 10) == records
