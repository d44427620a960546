"""Records, front and texts of a study with another score and cost than macro-F1 and parameters."""

from __future__ import annotations

import json
import math

import pytest

from nas.report.figures.search_figures import front_figure
from nas.report.tables.objective_columns import objective_cells, objective_titles
from nas.report.tables.study_tables import front_table
from nas.search.analysis.front_summary import summarize_records
from nas.search.pareto_front import REFERENCE, Objectives, reference_point
from nas.search.storage.trial_records import TrialRecord
from nas.study.costs_spec import ObjectivePair
from tests.tiny_study import tiny_spec
from tests.unit.search.examples import baseline, record

PAIR = ObjectivePair("accuracy", "latency_ms")


def timed(one: TrialRecord, latency_ms: float) -> TrialRecord:
    return one.with_cost("latency_ms", latency_ms)


# The largest is the fastest.
RECORDS = [timed(baseline(0.75), 8.0), timed(record(1, 0.8, 90_000), 0.5), timed(record(2, 0.8, 9_000), 2.0)]


def test_a_record_with_another_cost_keeps_its_score() -> None:
    one = RECORDS[1]
    assert one.objectives == Objectives(0.8, math.log10(0.5))
    assert (one.cost, one.params, one.cost_text) == (0.5, 90_000, "0.5 ms")
    assert one.with_cost("flops", 2_500_000).cost_text == "2,500,000 FLOPs"
    assert one.with_cost("size_bytes", None).objectives is None


def test_the_front_and_the_verdict_are_those_of_the_cost() -> None:
    summary = summarize_records(tiny_spec(), RECORDS)
    assert [one.number for one in summary.front] == [1]
    assert summary.verdict == (
        "The fastest network at the target 0.740 (ResNet-18 0.750 - 0.01) on the validation images is trial 1, a vgg "
        "with 0.5 ms and macro-F1 0.800: 16 times faster than ResNet-18 (8 ms)."
    )
    by_params = summarize_records(tiny_spec(), [one.with_cost("params", one.params) for one in RECORDS])
    assert [one.number for one in by_params.front] == [2]
    assert "smallest network" in by_params.verdict


def test_json_tables_and_figure_name_the_cost_with_its_unit() -> None:
    summary = summarize_records(tiny_spec(), RECORDS)
    values = json.loads(json.dumps(summary.as_json()))
    assert values["objectives"] == {"score": "macro_f1", "cost": "latency_ms", "unit": "ms"}
    assert (values["front"][0]["latency_ms"], values["front"][0]["times_smaller"]) == (0.5, 16.0)
    table = front_table(summary, RECORDS[1])
    assert table.columns[8:10] == ("latency, ms", "times faster")
    assert table.rows[0][8:10] == ("0.5", "16.0")
    figure = front_figure(RECORDS, summary).to_plotly_json()
    assert "latency in ms" in figure["layout"]["xaxis"]["title"]["text"]
    assert figure["layout"]["xaxis"]["type"] == "log"
    assert any("%{x:.4~g} ms" in (trace.get("hovertemplate") or "") for trace in figure["data"])


def test_further_columns_are_those_that_a_table_lacks() -> None:
    assert objective_titles(ObjectivePair()) == objective_titles(ObjectivePair("accuracy", "flops")) == ()
    assert objective_titles(ObjectivePair("recall:a", "size_bytes")) == ("recall of 'a'", "file, bytes")
    assert objective_cells(RECORDS[1]) == ("0.5",)


def test_the_reference_point_is_twice_the_highest_cost() -> None:
    points = [one.objectives for one in RECORDS if one.objectives is not None]
    assert reference_point("params", points) == REFERENCE
    reference = reference_point("latency_ms", points)
    assert (reference.score, 10**reference.log10_cost) == (0.0, pytest.approx(16.0))
