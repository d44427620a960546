"""Target and answer in the figure of the front."""

from __future__ import annotations

import plotly.graph_objects as go

from nas.report.figures.figure_style import BASELINE_COLOUR, themed_text
from nas.search.analysis.target_text import target_name
from nas.search.storage.trial_records import TrialRecord
from nas.search.target import Target
from nas.study.costs_spec import ObjectivePair


def objectives_hover(pair: ObjectivePair) -> str:
    """Plotly's template of a point's score and cost."""
    return f"{pair.score_definition.title} %{{y:.4f}}<br>{pair.cost_definition.hover}"


def target_line(target: Target, text: str, smallest: float, largest: float) -> go.Scatter:
    """Horizontal line at the target, labelled with its value above the network of the lowest cost.

    Args:
        text: The target with its origin, for the legend.
        smallest, largest: Lowest and highest cost of the figure.
    """
    # Beyond the axis on both sides, whose range is fixed.
    sizes = [smallest / 10, smallest, largest * 10]
    return go.Scatter(
        x=sizes,
        y=[round(target.macro_f1, 4)] * len(sizes),
        mode="lines+text",
        text=["", themed_text(target_name(target)), ""],
        textposition="top right",
        name=themed_text(text),
        line={"color": BASELINE_COLOUR, "width": 2, "dash": "dash"},
        hoverinfo="skip",
    )


def answer_marker(answer: TrialRecord) -> go.Scatter:
    """Ring around the network of the lowest cost at the target."""
    return go.Scatter(
        x=[answer.cost],
        y=[round(answer.score, 4)],
        mode="markers",
        name=themed_text(f"answer: trial {answer.number}"),
        marker={"color": BASELINE_COLOUR, "symbol": "circle-open", "size": 22, "line": {"width": 3}},
        hoverinfo="skip",
    )
