"""Target and answer in the figure of the front."""

from __future__ import annotations

import plotly.graph_objects as go

from nas.report.figures.figure_style import BASELINE_COLOUR, themed_text
from nas.search.analysis.target_text import target_name
from nas.search.storage.trial_records import TrialRecord
from nas.search.target import Target


def target_line(target: Target, text: str, smallest: int, largest: int) -> go.Scatter:
    """Horizontal line at the target, labelled with its value above the smallest network.

    Args:
        text: The target with its origin, for the legend.
        smallest: Smallest parameter count of the figure.
        largest: Largest parameter count of the figure.
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
    """Ring around the smallest network at the target."""
    return go.Scatter(
        x=[answer.params],
        y=[round(answer.macro_f1, 4)],
        mode="markers",
        name=themed_text(f"answer: trial {answer.number}"),
        marker={"color": BASELINE_COLOUR, "symbol": "circle-open", "size": 22, "line": {"width": 3}},
        hoverinfo="skip",
    )
