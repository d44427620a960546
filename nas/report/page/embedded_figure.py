"""Plotly's figures on a page of their own making: titles become headings, the rest is JSON."""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go
from markupsafe import Markup

_HEIGHT = 460
_TOP_MARGIN = 34
"""Pixels, which plotly's buttons need."""


@dataclass(frozen=True)
class EmbeddedFigure:
    """A figure for the template.

    Attributes:
        json: Plotly's data and layout; it can stand in a script element.
        reason: Why there is nothing to see, in which case the figure is not drawn.
    """

    identifier: str
    title: str
    note: str
    reason: str
    json: Markup
    height: int


def embed_figure(identifier: str, figure: go.Figure, height: int | None = None) -> EmbeddedFigure:
    """A figure whose title the page prints.

    Args:
        identifier: Of its place on the page.
        height: In pixels; default: the figure's own.
    """
    meta = figure.layout.meta
    height = height or figure.layout.height or _HEIGHT
    bare = go.Figure(figure).update_layout(title=None, height=height, margin={"t": _TOP_MARGIN})
    # No text in it can end the script that it stands in.
    text = bare.to_json().replace("<", "\\u003c")
    return EmbeddedFigure(identifier, meta["title"], meta.get("note", ""), meta.get("reason", ""), Markup(text), height)
