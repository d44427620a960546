"""Figure of a t-SNE embedding of the classifier's input."""

from __future__ import annotations

import colorsys
import html
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from nas.report.figures.figure_style import GREY, blank_figure, empty_figure, themed_text
from nas.results.network_analysis import Floats, NetworkComparison

_MAX_LETTERS = 2
_FEW_CLASSES = 12
_MOST_NAMED = 100
_EMBEDDING_WIDTH = 900
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")


def embedding_figure(comparison: NetworkComparison, network_name: str, units: str = "images") -> go.Figure:
    """Scatter plot of a t-SNE of the classifier's input, coloured by class; misclassified points have a ring.

    Args:
        units: Plural noun for the points.
    """
    title, embedding = "Features before the classifier (t-SNE)", comparison.embedding
    if not len(embedding.images):
        return empty_figure(title, f"Too few validation {units} for a t-SNE.")
    note = f"{len(embedding.images):,} validation {units}, features of {network_name}; ringed: taken for another class"
    figure = blank_figure(title, note)
    labels = comparison.labels[embedding.images]
    predictions = comparison.finalist.predictions[embedding.images]
    wrong = embedding.points[labels != predictions]
    figure.add_trace(
        go.Scatter(
            x=wrong[:, 0].round(2).tolist(), y=wrong[:, 1].round(2).tolist(), mode="markers", hoverinfo="skip",
            showlegend=False, marker={"symbol": "circle-open", "size": 14, "color": GREY, "opacity": 0.6},
        )
    )  # fmt: skip
    for place in np.unique(labels):
        _add_class(figure, comparison, int(place), labels == place)
    hidden = {"visible": False}
    figure.update_layout(
        xaxis=hidden, yaxis=hidden | {"scaleanchor": "x"}, height=_embedding_height(embedding.points),
        showlegend=len(comparison.classes) <= _FEW_CLASSES
        or (len(comparison.classes) <= _MOST_NAMED and not _as_letters(comparison.classes)),
    )  # fmt: skip
    return figure


def _embedding_height(points: Floats) -> int:
    """Figure height in pixels for the extent of the points at equal scales of both axes."""
    width, height = np.ptp(points, axis=0)
    return int(np.clip(_EMBEDDING_WIDTH * height / max(width, 1e-6), 360, 720))


def _as_letters(classes: Sequence[str]) -> bool:
    """True if the class names are short enough to replace the points."""
    return max(map(len, classes)) <= _MAX_LETTERS


def _add_class(figure: go.Figure, comparison: NetworkComparison, place: int, members: Floats) -> None:
    classes, embedding = comparison.classes, comparison.embedding
    name, colour = html.escape(classes[place]), class_colour(place, len(classes))
    points = embedding.points[members]
    predictions = comparison.finalist.predictions[embedding.images][members]
    letters = _as_letters(classes)
    figure.add_trace(
        go.Scatter(
            x=points[:, 0].round(2).tolist(),
            y=points[:, 1].round(2).tolist(),
            mode="text" if letters else "markers",
            text=[name] * len(points) if letters else None,
            textfont={"color": colour, "size": 12} if letters else None,
            marker=None if letters else {"color": colour, "size": 6, "symbol": _SYMBOLS[place % len(_SYMBOLS)]},
            customdata=[html.escape(classes[predicted]) for predicted in predictions],
            name=themed_text(name),
            showlegend=not letters,
            hovertemplate=f"{name}, taken for %{{customdata}}<extra></extra>",
        )
    )


def class_colour(place: int, number: int) -> str:
    """Return the colour of a class: hues around the circle, every second one lighter.

    The contrast with white and with dark grey is at least 3.
    """
    target_luminance = 0.17 if place % 2 == 0 else 0.29
    low, high = 0.0, 1.0
    for _ in range(12):
        lightness = (low + high) / 2
        parts = colorsys.hls_to_rgb(place / number, lightness, 0.75)
        low, high = (lightness, high) if _luminance(parts) < target_luminance else (low, lightness)
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)


def _luminance(parts: tuple[float, float, float]) -> float:
    """Relative luminance of an sRGB colour (Web Content Accessibility Guidelines 2.2)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
