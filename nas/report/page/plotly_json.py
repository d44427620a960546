"""Plotly figures embedded in the HTML page: the title becomes a heading, the rest is JSON."""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go
from markupsafe import Markup

_HEIGHT = 460
_TOP_MARGIN = 34
"""Pixels for plotly's mode bar."""


@dataclass(frozen=True)
class EmbeddedFigure:
    """Plotly figure prepared for the template.

    Attributes:
        reason: Explanation of an empty figure, which is then not drawn; else empty.
        json: Plotly's data and layout, safe inside a script element.
        height: Pixels.
    """

    identifier: str
    title: str
    note: str
    reason: str
    json: Markup
    height: int


def embed_figure(identifier: str, figure: go.Figure, height: int | None = None) -> EmbeddedFigure:
    """Convert a figure for the page, which prints the title itself.

    Args:
        identifier: Element id on the page, without the prefix `plot-`.
        height: Pixels; default: the figure's own height.
    """
    meta = figure.layout.meta
    height = height or figure.layout.height or _HEIGHT
    bare = go.Figure(figure).update_layout(title=None, height=height, margin={"t": _TOP_MARGIN})
    # `</script>` in a label must not end the enclosing script element.
    text = bare.to_json().replace("<", "\\u003c")
    return EmbeddedFigure(identifier, meta["title"], meta.get("note", ""), meta.get("reason", ""), Markup(text), height)
