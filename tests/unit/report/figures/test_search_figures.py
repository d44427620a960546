from __future__ import annotations

import json
import math
from typing import Any

import plotly.graph_objects as go
import pytest

from nas.report.figures.option_effects import options_figure
from nas.report.figures.search_figures import (
    MAX_CURVES,
    MAX_POINTS,
    MAX_STOPPED,
    curves_figure,
    evenly_spaced,
    front_figure,
    hypervolume_figure,
    study_figures,
)
from nas.results.learning_curve import EpochRecord
from nas.search.analysis.front_summary import summarize_records
from nas.search.analysis.option_effects import Explanation
from nas.search.storage.trial_records import TrialRecord
from nas.space.architecture import DenseNetArchitecture
from nas.space.genome import Genome
from tests.tiny_study import tiny_spec
from tests.unit.report.figures.figure_text import plain_text
from tests.unit.search.examples import baseline, record, stopped

SPEC = tiny_spec()
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
    return front_figure(records, summarize_records(SPEC, records))


def named(figure: go.Figure, name: str) -> list[Any]:
    return [trace for trace in figure.data if plain_text(trace.name or "") == name]


def points(traces: list[Any]) -> set[tuple[int, int, float]]:
    return {point for trace in traces for point in zip(trace.customdata, trace.x, trace.y, strict=True)}


def words(figure: go.Figure) -> str:
    """Return the title and note of a figure."""
    return plain_text(json.dumps(figure.to_dict()["layout"]["title"]).replace("<br>", " "))


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
    assert plain_text(star.text[0]) == "baseline (resnet18)"
    (quadrant,) = named(figure, "at least as good, and smaller")
    assert max(quadrant.x) == 11_000_000
    assert min(quadrant.x) < 1_000
    assert (min(quadrant.y), max(quadrant.y)) == (0.8, pytest.approx(0.95))


def test_the_quadrant_ends_at_the_highest_possible_score() -> None:
    (quadrant,) = named(front_of([*trials(), record(6, 0.999, 60_000)]), "at least as good, and smaller")
    assert max(quadrant.y) == 1


def test_without_a_baseline_there_is_neither_star_nor_quadrant() -> None:
    figure = front_of(trials()[1:])
    assert not named(figure, "at least as good, and smaller")
    assert not [trace for trace in figure.data if trace.marker.symbol == "star"]


def test_the_target_is_a_line_with_its_value_and_the_answer_is_ringed() -> None:
    figure = front_of([*trials(), record(6, 0.79, 20_000)])
    (line,) = named(figure, "target 0.790 (ResNet-18 0.800 - 0.01)")
    assert set(line.y) == {0.79}
    assert min(line.x) < 1_000
    assert max(line.x) > 11_000_000
    assert [plain_text(text) for text in line.text if text] == ["target 0.790"]
    (ring,) = named(figure, "answer: trial 6")
    assert (list(ring.x), list(ring.y), ring.marker.symbol) == ([20_000], [0.79], "circle-open")


def test_a_target_that_nothing_reached_is_a_line_alone_and_without_one_there_is_none() -> None:
    figure = front_of([baseline(0.99), record(1, 0.5)])
    assert named(figure, "target 0.980 (ResNet-18 0.990 - 0.01)")
    assert not [trace for trace in figure.data if trace.marker.symbol == "circle-open"]
    assert not [trace for trace in front_of(trials()[1:]).data if "target" in (trace.name or "")]


def test_of_very_many_trials_the_front_is_whole_and_the_others_are_counted() -> None:
    many = [record(number, 0.3 + 1e-5 * number, 100_000 - number) for number in range(MAX_POINTS + 500)]
    many.append(record(len(many), 0.9, 1_000))
    figure = front_of(many)
    embed_figure = points(named(figure, "vgg"))
    assert len(embed_figure) == MAX_POINTS + 1
    assert (len(many) - 1, 1_000, 0.9) in embed_figure
    assert "2,000 of 2,500 trials off the front are drawn" in words(figure)


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
    figure = curves_figure(summarize_records(SPEC, records))
    assert [plain_text(trace.name) for trace in figure.data] == ["1 (vgg)", "baseline (resnet18)"]
    assert list(figure.data[0].x) == [1, 2, 3]
    assert list(figure.data[0].y) == pytest.approx([0.1, 0.2, 0.3])


def test_of_a_long_front_some_curves_are_drawn_and_the_figure_says_so() -> None:
    records = [record(number, 0.1 + number / 100, 1000 + number) for number in range(30)]
    figure = curves_figure(summarize_records(SPEC, records))
    assert len(figure.data) == MAX_CURVES
    assert [plain_text(figure.data[place].name) for place in (0, -1)] == ["0 (vgg)", "29 (vgg)"]
    assert "12 of 30 are drawn" in words(figure)


def test_stopped_curves_lie_behind_in_one_trace_and_say_whose_they_are() -> None:
    records = [
        baseline(0.8), record(1, 0.5), stopped(2, 0.1, 0.2), stopped(3, 0.3), stopped(4, 0.1, 0.2, reused_from=2)
    ]  # fmt: skip
    figure = study_figures(SPEC, records)["nas-curves"]
    first = figure.data[0]
    assert [plain_text(trace.name) for trace in figure.data] == ["stopped early", "1 (vgg)", "baseline (resnet18)"]
    assert list(first.x) == [1, 2, None, 1, None]
    assert list(first.y) == [0.1, 0.2, None, 0.3, None]
    assert list(first.customdata) == [2, 2, 2, 3, 3]
    assert [epoch for epoch, size in zip(first.x, first.marker.size, strict=True) if size] == [2, 1]


def test_of_very_many_stopped_trials_some_are_drawn_and_the_figure_is_small() -> None:
    records = [baseline(0.8), record(1, 0.5), *(stopped(2 + n, *[0.1] * 12) for n in range(900))]
    figure = study_figures(SPEC, records)["nas-curves"]
    assert len(set(figure.data[0].customdata)) == MAX_STOPPED
    assert "40 of 900 stopped trials are drawn" in words(figure)
    assert len(figure.to_json()) < 20_000


def test_an_empty_study_has_four_figures_that_say_why_they_are_empty() -> None:
    for figure in study_figures(SPEC, []).values():
        assert not figure.data
        assert figure.layout.annotations[0].text
    assert options_figure(Explanation(0, 0, ())).layout.annotations


def test_figures_are_small_and_carry_no_ground_of_their_own() -> None:
    for identifier, figure in study_figures(SPEC, trials()).items():
        assert identifier.startswith("nas-")
        assert len(figure.to_json()) < 8_000, identifier
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0, 0, 0, 0)"


def test_a_sample_holds_both_ends() -> None:
    records = [record(number) for number in range(10)]
    assert [one.number for one in evenly_spaced(records, 4)] == [0, 3, 6, 9]
    assert evenly_spaced(records, 10) == records
