"""Four figures of a study, drawn from its trial records: front, hypervolume, learning curves, options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from nas.report.figures.figure_style import (
    BASELINE_COLOUR,
    GREY,
    axis,
    blank_figure,
    cost_axis,
    empty_figure,
    family_style,
    gradient_colour,
    themed_text,
)
from nas.report.figures.option_effects import options_figure
from nas.report.figures.target_and_answer import answer_marker, objectives_hover, target_line
from nas.search.analysis.front_summary import FrontSummary, summarize_records
from nas.search.analysis.hypervolume_history import hypervolume_history
from nas.search.analysis.option_effects import explain_options
from nas.search.storage.trial_records import TrialRecord
from nas.study.cost_definitions import PARAMS
from nas.study.costs_spec import ObjectivePair
from nas.study.study_spec import StudySpec

MAX_POINTS = 2000
MAX_CURVES = 12
MAX_STOPPED = 40
MAX_EXPLAINED = 500
"""Maximum number of trials for the effects of options: half a second of computation, quadratic in the number."""

_REGION_MARGIN, _MIN_REGION_MARGIN = 0.1, 0.01
"""Distance of the region's upper edge from the highest score: share of the range of scores, and at least so much."""
_FEW_POINTS = 200
_END_SIZE = 6
_NO_RESULT = "No trial has a result yet."


def study_figures(spec: StudySpec, records: Sequence[TrialRecord]) -> Mapping[str, go.Figure]:
    """Return all figures of a study by a constant identifier.

    Args:
        records: All trials, in the order of their numbers.
    """
    summary = summarize_records(spec, records)
    return {
        "nas-front": front_figure(records, summary),
        "nas-hypervolume": hypervolume_figure(records),
        "nas-curves": curves_figure(summary, [record for record in records if record.stopped_early]),
        "nas-options": options_figure(explain_options(trained_trials(records)[-MAX_EXPLAINED:], summary.front)),
    }


def trained_trials(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return the completed trials without the baseline and without results reused from other trials."""
    return [
        record
        for record in records
        if record.objectives is not None and record.is_searched and record.reused_from is None
    ]


def front_figure(records: Sequence[TrialRecord], summary: FrontSummary) -> go.Figure:
    """Scatter plot of the score over the cost: trials, front, baseline, target and answer."""
    title = "Pareto front"
    on_front = {record.number for record in summary.front}
    others = [
        record
        for record in records
        if record.objectives is not None and record.is_searched and record.number not in on_front
    ]
    shown_others = evenly_spaced(others, MAX_POINTS)
    shown = [*shown_others, *summary.front, *summary.baselines]
    if not shown:
        return empty_figure(title, _NO_RESULT)
    note = "on validation images; up and to the left is better"
    if len(shown_others) < len(others):
        note += f"; {len(shown_others):,} of {len(others):,} trials off the front are drawn"
    figure = blank_figure(title, note)
    sizes = [record.cost or 1 for record in (*shown, *summary.shared_front)]
    if summary.baseline is not None:
        figure.add_trace(_dominating_region(summary.baseline, min(sizes), [record.score for record in shown]))
    for family in sorted({record.family for record in shown if not record.is_baseline}):
        of_family = [record for record in shown_others if record.family == family]
        members = [record for record in summary.front if record.family == family]
        size, opacity = (8, 0.75) if len(shown_others) <= _FEW_POINTS else (6, 0.5)
        pair, in_legend = summary.pair, bool(members)
        figure.add_trace(_trial_points(of_family, family, pair, size=size, opacity=opacity, in_legend=not in_legend))
        figure.add_trace(_trial_points(members, family, pair, size=12, opacity=1, in_legend=in_legend))
    figure.add_trace(_front_line(summary.front, max(sizes)))
    if summary.shared_front:
        figure.add_trace(_shared_markers(summary.shared_front))
    if summary.target is not None:
        figure.add_trace(target_line(summary.target, summary.target_text, min(sizes), max(sizes)))
    if summary.answer is not None:
        figure.add_trace(answer_marker(summary.answer))
    for record in summary.baselines:
        figure.add_trace(_baseline_marker(record))
    figure.update_layout(
        xaxis=cost_axis(summary.pair.cost_definition.title, min(sizes), max(sizes)),
        yaxis=axis(summary.pair.score_definition.title, tickformat=".3~f"),
    )
    return figure


def _shared_markers(records: Sequence[TrialRecord]) -> go.Scatter:
    """Hollow markers of slices that were not trained by themselves, at their shared scores."""
    return go.Scatter(
        x=[record.cost for record in records],
        y=[round(record.score, 4) for record in records],
        customdata=[record.number for record in records],
        mode="markers",
        name=themed_text("shared score, not trained by itself"),
        marker={"color": BASELINE_COLOUR, "symbol": "circle-open", "size": 7},
        hovertemplate=f"trial %{{customdata}}, shared score<br>{objectives_hover(records[0].pair)}<extra></extra>",
    )


def _trial_points(
    records: Sequence[TrialRecord], family: str, pair: ObjectivePair, *, size: int, opacity: float, in_legend: bool
) -> go.Scatter:
    style = family_style(family)
    return go.Scatter(
        x=[record.cost for record in records],
        y=[round(record.score, 4) for record in records],
        customdata=[record.number for record in records],
        mode="markers",
        name=themed_text(family),
        legendgroup=family,
        showlegend=in_legend,
        marker={"color": style.colour, "symbol": style.symbol, "size": size, "opacity": opacity},
        hovertemplate=f"trial %{{customdata}} ({family})<br>{objectives_hover(pair)}<extra></extra>",
    )


def _front_line(front: Sequence[TrialRecord], largest: float) -> go.Scatter:
    """Step line of the best score for at most a given cost."""
    sizes = [record.cost or 1 for record in front]
    scores = [round(record.score, 4) for record in front]
    return go.Scatter(
        x=[*sizes, *([largest] if front else [])],
        y=[*scores, *scores[-1:]],
        mode="lines",
        name=themed_text("front"),
        line={"shape": "hv", "color": GREY, "width": 2},
        hoverinfo="skip",
    )


def _dominating_region(baseline: TrialRecord, smallest: float, scores: Sequence[float]) -> go.Scatter:
    """Region of trials at least as good as the baseline and of no higher cost, up to slightly above all scores.

    A region up to 1 would leave little of the axis to the trials.
    """
    left, right = smallest / 10, baseline.cost or 1
    highest = max(scores)
    top = min(1.0, highest + max(_REGION_MARGIN * (highest - min(scores)), _MIN_REGION_MARGIN))
    return go.Scatter(
        x=[left, right, right, left],
        y=[baseline.score, baseline.score, top, top],
        mode="lines",
        fill="toself",
        fillcolor="rgba(230, 159, 0, 0.13)",
        line={"width": 0},
        name=themed_text(f"at least as good, and {baseline.pair.cost_definition.comparative}"),
        hoverinfo="skip",
    )


def _baseline_marker(baseline: TrialRecord) -> go.Scatter:
    name = baseline.family if baseline.source is None else f"{baseline.family}, {baseline.training}"
    return go.Scatter(
        x=[baseline.cost],
        y=[round(baseline.score, 4)],
        mode="markers+text",
        text=[themed_text(f"baseline ({name})")],
        textposition="bottom left",
        showlegend=False,
        marker={"color": BASELINE_COLOUR, "symbol": "star", "size": 17, "line": {"color": GREY, "width": 1}},
        hovertemplate=f"baseline ({name})<br>{objectives_hover(baseline.pair)}<extra></extra>",
    )


def hypervolume_figure(records: Sequence[TrialRecord]) -> go.Figure:
    """Line chart of the front's hypervolume over trials and over training time in hours."""
    title = "Hypervolume of the front"
    history = hypervolume_history(records)
    if not history:
        return empty_figure(title, "No trial has ended yet.")
    pair = records[0].pair
    corner = "ten million parameters" if pair.cost == PARAMS else f"twice the highest {pair.cost_definition.title}"
    figure = blank_figure(title, f"up to {pair.score_definition.title} 0 and {corner}; the baseline is not counted")
    for hours, name in ((False, "x"), (True, "x2")):
        figure.add_trace(
            go.Scatter(
                x=[round(point.hours, 4) if hours else point.trials for point in history],
                y=[round(point.area, 4) for point in history],
                mode="lines",
                line={"shape": "hv", "color": family_style("vgg").colour, "width": 2},
                xaxis=name,
                showlegend=False,
                hovertemplate=f"%{{y:.4f}} after %{{x}} {'hours' if hours else 'trials'}<extra></extra>",
            )
        )
    figure.update_layout(
        xaxis=axis("trials that ended", domain=[0, 0.47], rangemode="tozero"),
        xaxis2=axis("compute hours", domain=[0.53, 1], rangemode="tozero", anchor="y"),
        yaxis=axis("hypervolume", rangemode="tozero"),
    )
    return figure


def curves_figure(summary: FrontSummary, stopped: Sequence[TrialRecord] = ()) -> go.Figure:
    """Learning curves of the score: front from small (blue) to large (red), and baseline.

    Args:
        stopped: Trials that were stopped early, drawn pale in the background.
    """
    title = "Learning curves"
    members = [record for record in summary.front if record.curve]
    shown = evenly_spaced(members, MAX_CURVES)
    if not shown and not stopped and (summary.baseline is None or not summary.baseline.curve):
        return empty_figure(title, _NO_RESULT)
    note = "on validation images; the front's networks from small to large"
    if len(shown) < len(members):
        note += f"; {len(shown)} of {len(members)} are drawn"
    pale = evenly_spaced(stopped, MAX_STOPPED)
    if len(pale) < len(stopped):
        note += f"; {len(pale)} of {len(stopped):,} stopped trials are drawn"
    figure = blank_figure(title, note)
    if pale:
        figure.add_trace(_stopped_curves(pale))
    for place, record in enumerate(shown):
        line = {"color": gradient_colour(place / max(1, len(shown) - 1)), "width": 2}
        figure.add_trace(_learning_curve(record, f"{record.number} ({record.family})", line))
    if summary.baseline is not None:
        line = {"color": BASELINE_COLOUR, "width": 3, "dash": "dash"}
        figure.add_trace(_learning_curve(summary.baseline, f"baseline ({summary.baseline.family})", line))
    score = summary.pair.score_definition.title
    figure.update_layout(xaxis=axis("epoch", rangemode="tozero"), yaxis=axis(score, tickformat=".3~f"))
    return figure


def _learning_curve(record: TrialRecord, name: str, line: Mapping[str, Any]) -> go.Scatter:
    return go.Scatter(
        x=[point.epoch for point in record.curve],
        y=[round(point.objective, 4) for point in record.curve],
        # A curve of one epoch is a point.
        mode="lines+markers" if len(record.curve) == 1 else "lines",
        name=themed_text(name),
        line=line,
        hovertemplate=f"{name}<br>epoch %{{x}}: {record.pair.score_definition.title} %{{y:.4f}}<extra></extra>",
    )


def _stopped_curves(records: Sequence[TrialRecord]) -> go.Scatter:
    """Curves of stopped trials in one trace with gaps: one colour and one legend entry."""
    epochs: list[int | None] = []
    scores: list[float | None] = []
    numbers: list[int] = []
    sizes: list[int] = []
    for record in records:
        epochs += [*(point.epoch for point in record.curve), None]
        scores += [*(round(point.objective, 4) for point in record.curve), None]
        numbers += [record.number] * (len(record.curve) + 1)
        # A marker only where a curve ends.
        sizes += [0] * (len(record.curve) - 1) + [_END_SIZE, 0]
    return go.Scatter(
        x=epochs,
        y=scores,
        customdata=numbers,
        mode="lines+markers",
        name=themed_text("stopped early"),
        opacity=0.7,
        line={"color": GREY, "width": 1, "dash": "dot"},
        marker={"symbol": "x-thin", "size": sizes, "line": {"color": GREY, "width": 1}},
        hovertemplate=(
            "trial %{customdata}, stopped early<br>"
            f"epoch %{{x}}: {records[0].pair.score_definition.title} %{{y:.4f}}<extra></extra>"
        ),
    )


def evenly_spaced(records: Sequence[TrialRecord], most: int) -> list[TrialRecord]:
    """Return at most `most` of the records at even intervals, including the first and the last."""
    if len(records) <= most:
        return list(records)
    return [records[place * (len(records) - 1) // (most - 1)] for place in range(most)]
