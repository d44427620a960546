"""Shared style of figures: legible on light and dark pages and with colour blindness."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from nas.space.architecture import SIAMESE

GREY = "#808080"
"""Colour of lines: a contrast of about 4 with white and with the dashboard's dark grey."""
BASELINE_COLOUR = "#E69F00"
_GRID = "rgba(128, 128, 128, 0.25)"
_CLEAR = "rgba(0, 0, 0, 0)"
# In characters. Plotly does not wrap text, and a figure may have half of a narrow window.
_NOTE_WIDTH = 52
_REASON_WIDTH = 36


@dataclass(frozen=True)
class FamilyStyle:
    """Colour and plotly marker symbol of a family."""

    colour: str
    symbol: str


# Okabe & Ito, "Color Universal Design", 2008: the colours with enough contrast to white and to dark grey.
_STYLES = {
    "vgg": FamilyStyle("#0072B2", "circle"),
    "resnet": FamilyStyle("#D55E00", "square"),
    "densenet": FamilyStyle("#009E73", "diamond"),
    "mobilenet": FamilyStyle("#CC79A7", "triangle-up"),
    # Tol, "Colour Schemes", 2021: two colours of the muted scheme.
    "plain": FamilyStyle("#999933", "star"),
    "mlp": FamilyStyle("#AA4499", "x"),
}
_OTHER = FamilyStyle("#56B4E9", "cross")


def family_style(family: str) -> FamilyStyle:
    """Return the style of a family, the same in all figures; markers of siamese networks are hollow."""
    style = _STYLES.get(family.removeprefix(f"{SIAMESE} "), _OTHER)
    return FamilyStyle(style.colour, f"{style.symbol}-open") if family.startswith(SIAMESE) else style


def gradient_colour(share: float) -> str:
    """Return a colour between blue (0), purple and vermillion (1), legible on light and dark backgrounds."""
    stops = ((0, 114, 178), (204, 121, 167), (213, 94, 0))
    left, right = (stops[0], stops[1]) if share < 0.5 else (stops[1], stops[2])
    within = 2 * share - (share >= 0.5)
    red, green, blue = (round(a + (b - a) * within) for a, b in zip(left, right, strict=True))
    return f"#{red:02x}{green:02x}{blue:02x}"


def themed_text(text: str) -> str:
    """Format text in the page's text colour, which differs between the light and the dark theme.

    Plotly's own colours are fixed, but it passes this style on to the SVG. Elsewhere the text has the figure's grey.
    """
    return f'<span style="color:currentColor">{text}</span>'


def blank_figure(title: str, note: str = "") -> go.Figure:
    """Figure without data, with a transparent background and without plotly's template of 6 kB.

    Title and note are repeated in `meta` for a page that prints them itself.
    """
    lines = textwrap.wrap(note, _NOTE_WIDTH)
    heading = "<br>".join([f"<b>{title}</b>", *(f'<span style="font-size:12px">{line}</span>' for line in lines)])
    return go.Figure(
        layout={
            "template": "none",
            "meta": {"title": title, "note": note},
            "title": {
                "text": themed_text(heading),
                "x": 0.02,
                "xanchor": "left",
                "y": 0.97,
                "yanchor": "top",
                "font": {"size": 16},
            },
            "font": {"color": GREY, "size": 13},
            "paper_bgcolor": _CLEAR,
            "plot_bgcolor": _CLEAR,
            "margin": {"l": 60, "r": 20, "t": 46 + 20 * len(lines), "b": 40},
            "modebar": {"bgcolor": _CLEAR, "color": GREY},
            "hovermode": "closest",
            "legend": {"orientation": "h", "x": 0, "yref": "container", "y": 0, "yanchor": "bottom"},
        }
    )


def empty_figure(title: str, reason: str) -> go.Figure:
    """Placeholder figure with the reason for the lack of data."""
    figure = blank_figure(title)
    text = themed_text("<br>".join(textwrap.wrap(reason, _REASON_WIDTH)))
    figure.add_annotation(text=text, xref="paper", yref="paper", x=0.5, y=0.5, showarrow=False)
    figure.update_layout(xaxis={"visible": False}, yaxis={"visible": False}, meta={"title": title, "reason": reason})
    return figure


def axis(title: str, **options: Any) -> dict[str, Any]:
    """Axis whose grid is visible on light and dark backgrounds."""
    return {
        "title": {"text": themed_text(title), "standoff": 8},
        "gridcolor": _GRID,
        "linecolor": GREY,
        "zeroline": False,
        "automargin": True,
        # Wrapped around each tick label that plotly generates, as in `themed_text`.
        "tickprefix": '<span style="color:currentColor">',
        "ticksuffix": "</span>",
        **options,
    }


def cost_axis(title: str, smallest: float, largest: float) -> dict[str, Any]:
    """Logarithmic axis of costs, with a margin on both sides."""
    low, high = math.log10(smallest), math.log10(largest)
    margin = max(0.05, 0.04 * (high - low))
    low, high = low - margin, high + margin
    ticks = [
        step * 10**decade
        for decade in range(math.floor(low), math.ceil(high) + 1)
        for step in _decade_ticks(high - low)
        if low <= math.log10(step * 10**decade) <= high
    ]
    return axis(
        title,
        type="log",
        range=[round(low, 4), round(high, 4)],
        tickvals=ticks,
        ticktext=[themed_text(_short_count(tick)) for tick in ticks],
        tickprefix="",
        ticksuffix="",
    )


def _decade_ticks(decades: float) -> tuple[float, ...]:
    """Label positions within a decade, for three to eight labels on the axis."""
    if decades > 3.5:
        return (1,)
    if decades > 2:
        return (1, 3)
    return (1, 2, 5) if decades > 0.8 else (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)


def _short_count(count: float) -> str:
    """Format a count with a unit prefix, such as 10k for 10,000."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:g}{name}"
    return f"{count:g}"
