"""F1 of each class by two or more networks, side by side."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from nas.report.figures.figure_style import GREY, axis, blank_figure, ink

_LONGEST_NAME = 20
_FEW = 30


@dataclass(frozen=True)
class ClassF1Series:
    """One network's F1, class by class.

    Attributes:
        f1: None for a class without images.
        sd: Standard deviations over runs; empty for a single one.
    """

    name: str
    colour: str
    symbol: str
    f1: tuple[float | None, ...]
    sd: tuple[float, ...] = ()


def class_figure(
    classes: Sequence[str], counts: Sequence[int], contenders: Sequence[ClassF1Series], where: str
) -> go.Figure:
    """A row a class with a mark a network, rarest class on top.

    Args:
        counts: Training images of each class.
        contenders: In the order of the classes.
        where: On which images.
    """
    figure = blank_figure(f"F1 of each class on {where}", "rarest class on top; in brackets its training images")
    order = sorted(range(len(classes)), key=lambda place: counts[place])
    if not any(contender.sd for contender in contenders):  # which have lines of their own
        figure.add_trace(_rules(order, contenders))
    for contender in contenders:
        figure.add_trace(_marks(order, classes, counts, contender))
    labels = [f"{html.escape(shortened(classes[place]))} ({counts[place]:,})" for place in order]
    figure.update_layout(
        xaxis=axis("F1", range=[-0.02, 1.02], tickformat=".1f"),
        yaxis=axis("", tickprefix="", ticksuffix="")
        | {
            "tickvals": list(range(len(order))),
            "ticktext": [ink(label) for label in labels],
            "tickfont": {"size": 13 if len(order) <= _FEW else 10},
            "range": [len(order) - 0.4, -0.6],
            "showgrid": False,
        },
        height=class_figure_height(len(order)),
    )
    return figure


def class_figure_height(num_classes: int) -> int:
    """In pixels, so that every class has its label."""
    return 130 + num_classes * (26 if num_classes <= _FEW else 15)


def shortened(name: str) -> str:
    """Long names leave no room for what is said of them."""
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _rules(order: Sequence[int], contenders: Sequence[ClassF1Series]) -> go.Scatter:
    """A line from each class's lowest mark to its highest."""
    xs: list[float | None] = []
    ys: list[int | None] = []
    for row, place in enumerate(order):
        found = [score for one in contenders if (score := one.f1[place]) is not None]
        if found:
            xs += [round(min(found), 4), round(max(found), 4), None]
            ys += [row, row, None]
    return go.Scatter(
        x=xs, y=ys, mode="lines", line={"color": GREY, "width": 1}, hoverinfo="skip", showlegend=False
    )  # fmt: skip


def _marks(order: Sequence[int], classes: Sequence[str], counts: Sequence[int], contender: ClassF1Series) -> go.Scatter:
    rows = [(row, place) for row, place in enumerate(order) if contender.f1[place] is not None]
    scores = [contender.f1[place] or 0.0 for _, place in rows]
    spread = [round(contender.sd[place], 4) for _, place in rows] if contender.sd else None
    return go.Scatter(
        x=[round(score, 4) for score in scores],
        y=[row for row, _ in rows],
        error_x={"type": "data", "array": spread, "color": contender.colour, "thickness": 1} if spread else None,
        customdata=[f"{html.escape(classes[place])} ({counts[place]:,} training images)" for _, place in rows],
        mode="markers",
        name=ink(html.escape(contender.name)),
        marker={"color": contender.colour, "symbol": contender.symbol, "size": 9},
        hovertemplate=f"%{{customdata}}<br>{html.escape(contender.name)}: F1 %{{x:.3f}}<extra></extra>",
    )
