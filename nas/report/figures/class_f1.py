"""Figure of F1 per class for several networks."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from nas.report.figures.figure_style import GREY, axis, blank_figure, themed_text

_LONGEST_NAME = 20
_FEW = 30
MOST_CLASSES = 100
"""Largest number of classes in the figure; the table has all."""


@dataclass(frozen=True)
class ClassF1Series:
    """F1 of one network for each class.

    Attributes:
        f1: F1 in the order of the classes; None for a class without images.
        sd: Standard deviations over runs; empty for a single run.
    """

    name: str
    colour: str
    symbol: str
    f1: tuple[float | None, ...]
    sd: tuple[float, ...] = ()


def class_f1_figure(
    classes: Sequence[str], counts: Sequence[int], series: Sequence[ClassF1Series], images: str
) -> go.Figure:
    """Dot plot of F1: one row per class, one mark per network, rarest class on top.

    Args:
        counts: Training images of each class.
        series: One series per network.
        images: Name of the scored images for the title, such as `validation images`.
    """
    note = "rarest class on top; in brackets its training images"
    shown: Sequence[int] = range(len(classes))
    if len(classes) > MOST_CLASSES:
        shown = worst_classes(series[0])
        note = f"the {len(shown)} of {len(classes):,} classes with the lowest F1 of {series[0].name}, {note}"
    figure = blank_figure(f"F1 of each class on {images}", note)
    order = sorted(shown, key=lambda place: counts[place])
    if not any(one.sd for one in series):  # else the error bars are lines enough
        figure.add_trace(_range_lines(order, series))
    for one in series:
        figure.add_trace(_marks(order, classes, counts, one))
    labels = [f"{html.escape(shortened(classes[place]))} ({counts[place]:,})" for place in order]
    figure.update_layout(
        xaxis=axis("F1", range=[-0.02, 1.02], tickformat=".1f"),
        yaxis=axis("", tickprefix="", ticksuffix="")
        | {
            "tickvals": list(range(len(order))),
            "ticktext": [themed_text(label) for label in labels],
            "tickfont": {"size": 13 if len(order) <= _FEW else 10},
            "range": [len(order) - 0.4, -0.6],
            "showgrid": False,
        },
        height=class_f1_figure_height(len(order)),
    )
    return figure


def worst_classes(one: ClassF1Series) -> Sequence[int]:
    """Return the classes with the lowest F1 of a network, without those that have no images."""
    scored = [(score, place) for place, score in enumerate(one.f1) if score is not None]
    return [place for _, place in sorted(scored)[:MOST_CLASSES]]


def class_f1_figure_height(num_classes: int) -> int:
    """Figure height in pixels that leaves room for the label of every class."""
    return 130 + num_classes * (26 if num_classes <= _FEW else 15)


def shortened(name: str) -> str:
    """Truncate a long name with an ellipsis."""
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _range_lines(order: Sequence[int], series: Sequence[ClassF1Series]) -> go.Scatter:
    """Lines from the lowest to the highest mark of each class."""
    xs: list[float | None] = []
    ys: list[int | None] = []
    for row, place in enumerate(order):
        scores = [score for one in series if (score := one.f1[place]) is not None]
        if scores:
            xs += [round(min(scores), 4), round(max(scores), 4), None]
            ys += [row, row, None]
    return go.Scatter(
        x=xs, y=ys, mode="lines", line={"color": GREY, "width": 1}, hoverinfo="skip", showlegend=False
    )  # fmt: skip


def _marks(order: Sequence[int], classes: Sequence[str], counts: Sequence[int], one: ClassF1Series) -> go.Scatter:
    rows = [(row, place) for row, place in enumerate(order) if one.f1[place] is not None]
    scores = [one.f1[place] or 0.0 for _, place in rows]
    spread = [round(one.sd[place], 4) for _, place in rows] if one.sd else None
    return go.Scatter(
        x=[round(score, 4) for score in scores],
        y=[row for row, _ in rows],
        error_x={"type": "data", "array": spread, "color": one.colour, "thickness": 1} if spread else None,
        customdata=[f"{html.escape(classes[place])} ({counts[place]:,} training images)" for _, place in rows],
        mode="markers",
        name=themed_text(html.escape(one.name)),
        marker={"color": one.colour, "symbol": one.symbol, "size": 9},
        hovertemplate=f"%{{customdata}}<br>{html.escape(one.name)}: F1 %{{x:.3f}}<extra></extra>",
    )
