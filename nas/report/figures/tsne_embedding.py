"""Figure of a t-SNE embedding of the classifier's input."""

from __future__ import annotations

import colorsys
import html
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from nas.report.figures.figure_style import GREY, blank_figure, empty_figure, ink
from nas.results.network_analysis import Floats, NetworkComparison

_LETTERS = 2


_FEW_CLASSES = 12


_EMBEDDING_WIDTH = 900
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")


def embedding_figure(evidence: NetworkComparison, who: str, units: str = "images") -> go.Figure:
    """A t-SNE of the classifier's input; a class has a colour, and what was taken for another one a ring.

    Args:
        units: What a point is, as a plural.
    """
    title, found = "Features before the classifier (t-SNE)", evidence.embedding
    if not len(found.images):
        return empty_figure(title, f"Too few validation {units} for a t-SNE.")
    note = f"{len(found.images):,} validation {units} as {who} sees them; ringed: taken for another class"
    figure = blank_figure(title, note)
    labels = evidence.labels[found.images]
    guesses = evidence.finalist.predictions[found.images]
    wrong = found.points[labels != guesses]
    figure.add_trace(
        go.Scatter(
            x=wrong[:, 0].round(2).tolist(), y=wrong[:, 1].round(2).tolist(), mode="markers", hoverinfo="skip",
            showlegend=False, marker={"symbol": "circle-open", "size": 14, "color": GREY, "opacity": 0.6},
        )
    )  # fmt: skip
    for place in np.unique(labels):
        _add_class(figure, evidence, int(place), labels == place)
    hidden = {"visible": False}
    figure.update_layout(
        xaxis=hidden, yaxis=hidden | {"scaleanchor": "x"}, height=_embedding_height(found.points),
        showlegend=len(evidence.classes) <= _FEW_CLASSES or not _as_letters(evidence.classes),
    )  # fmt: skip
    return figure


def _embedding_height(points: Floats) -> int:
    """In pixels, about as its points need it, for distances mean the same in both directions."""
    width, height = np.ptp(points, axis=0)
    return int(np.clip(_EMBEDDING_WIDTH * height / max(width, 1e-6), 360, 720))


def _as_letters(classes: Sequence[str]) -> bool:
    """Whether the names are short enough to be drawn in the place of points."""
    return max(map(len, classes)) <= _LETTERS


def _add_class(figure: go.Figure, evidence: NetworkComparison, place: int, members: Floats) -> None:
    classes, found = evidence.classes, evidence.embedding
    name, colour = html.escape(classes[place]), class_colour(place, len(classes))
    points = found.points[members]
    guesses = evidence.finalist.predictions[found.images][members]
    letters = _as_letters(classes)
    figure.add_trace(
        go.Scatter(
            x=points[:, 0].round(2).tolist(),
            y=points[:, 1].round(2).tolist(),
            mode="text" if letters else "markers",
            text=[name] * len(points) if letters else None,
            textfont={"color": colour, "size": 12} if letters else None,
            marker=None if letters else {"color": colour, "size": 6, "symbol": _SYMBOLS[place % len(_SYMBOLS)]},
            customdata=[html.escape(classes[guess]) for guess in guesses],
            name=ink(name),
            showlegend=not letters,
            hovertemplate=f"{name}, taken for %{{customdata}}<extra></extra>",
        )
    )


def class_colour(place: int, number: int) -> str:
    """Hues around the circle, every second one lighter, each with a contrast of 3 or more with white and dark grey."""
    wanted = 0.17 if place % 2 == 0 else 0.29
    low, high = 0.0, 1.0
    for _ in range(12):
        lightness = (low + high) / 2
        parts = colorsys.hls_to_rgb(place / number, lightness, 0.75)
        low, high = (lightness, high) if _luminance(parts) < wanted else (low, lightness)
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)


def _luminance(parts: tuple[float, float, float]) -> float:
    """Relative luminance of an sRGB colour (Web Content Accessibility Guidelines 2.2)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
