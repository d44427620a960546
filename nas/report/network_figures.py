"""What finalist and baseline do with validation images, as figures: curves, filters, a map of the features."""

from __future__ import annotations

import colorsys
import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from nas.evidence import Curve, Evidence, Floats, NetworkEvidence
from nas.report.figure_style import GREY, axis, bare_figure, empty_figure, ink

# Negative, zero and positive, zero being clear.
_DIVERGING = ((0.0, "rgb(213, 94, 0)"), (0.5, "rgba(128, 128, 128, 0)"), (1.0, "rgb(61, 155, 220)"))
_LETTERS = 2
_FEW_CLASSES = 12
_FEW_NETWORKS = 2
_EMBEDDING_WIDTH = 900
# An MLP has hundreds of units, and the figure as many numbers as pairs of them.
_MOST_COMPARED = 128
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")


@dataclass(frozen=True)
class Seen:
    """A network with its name and colour."""

    name: str
    colour: str
    evidence: NetworkEvidence


def roc_figure(networks: Sequence[Seen], classes: Sequence[str]) -> go.Figure:
    """True over false positive rate; of two classes for the second one, which has the first one's area."""
    told = f"{classes[1]} against {classes[0]}" if len(classes) == 2 else "each class against the rest"
    figure = bare_figure("ROC", f"{told}, on validation images; in brackets the area")
    for seen in networks:
        found = seen.evidence.discrimination
        if found.roc_by_class:
            _add_curve(figure, seen, "", found.roc_by_class[1])
        else:
            _add_curve(figure, seen, "micro", found.roc_micro)
            _add_curve(figure, seen, "macro", found.roc_macro, "dash")
    chance = {"color": GREY, "width": 1, "dash": "dot"}
    figure.add_trace(go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line=chance, hoverinfo="skip", showlegend=False))
    return _unit_square(figure, "false positive rate", "true positive rate")


def precision_recall_figure(networks: Sequence[Seen], classes: Sequence[str]) -> go.Figure:
    """Precision over recall; of two classes for each, or for the second one where there are many networks."""
    is_crowded = len(networks) > _FEW_NETWORKS
    told = "each class against the rest"
    if len(classes) == 2:
        told = f"of {classes[1]}" if is_crowded else "of either class"
    figure = bare_figure("Precision and recall", f"{told}; in brackets the average precision")
    for seen in networks:
        found = seen.evidence.discrimination
        if found.precision_recall_by_class:
            first, second = found.precision_recall_by_class
            _add_curve(figure, seen, "" if is_crowded else classes[1], second)
            if not is_crowded:
                _add_curve(figure, seen, classes[0], first, "dash")
        else:
            _add_curve(figure, seen, "micro", found.precision_recall_micro)
            _add_curve(figure, seen, "macro", found.precision_recall_macro, "dash")
    return _unit_square(figure, "recall", "precision")


def _add_curve(figure: go.Figure, seen: Seen, kind: str, curve: Curve, dash: str = "solid") -> None:
    name = html.escape(f"{seen.name}, {kind}" if kind else seen.name)
    figure.add_trace(
        go.Scatter(
            x=curve.x.round(4).tolist(),
            y=curve.y.round(4).tolist(),
            mode="lines",
            name=ink(f"{name} ({curve.area:.3f})"),
            line={"color": seen.colour, "width": 2, "dash": dash},
            hovertemplate=f"{name}<br>%{{x:.3f}}, %{{y:.3f}}<extra></extra>",
        )
    )


def _unit_square(figure: go.Figure, x: str, y: str) -> go.Figure:
    figure.update_layout(
        xaxis=axis(x, range=[-0.01, 1.01], tickformat=".1f"), yaxis=axis(y, range=[-0.01, 1.02], tickformat=".1f")
    )
    return figure


def similarity_figure(seen: Seen) -> go.Figure:
    """Cosine of the angle between each two filters of the first layer: 0 off the diagonal where they are orthogonal."""
    flat = seen.evidence.filters.reshape(len(seen.evidence.filters), -1)
    number, length = flat.shape
    cosines = _cosines(flat[:_MOST_COMPARED])
    shown = f", {_MOST_COMPARED} of them shown" if number > _MOST_COMPARED else ""
    note = f"{number} filters of {length} weights{shown}; blue alike, red opposite, clear orthogonal"
    if number > length:
        note += f"; no more than {length} can be"
    figure = bare_figure(f"Angles between the first filters of {seen.name}", note)
    figure.add_trace(
        go.Heatmap(
            z=cosines.round(3).tolist(), zmin=-1, zmax=1, colorscale=_DIVERGING, xgap=0.5, ygap=0.5,
            colorbar={"thickness": 10, "outlinewidth": 0, "tickvals": [-1, 0, 1], "tickprefix": "", "ticktext": [
                ink("-1"), ink("0"), ink("+1")]},
            hovertemplate="filters %{y} and %{x}: cosine %{z:.2f}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        xaxis=axis("filter", showgrid=False), yaxis=axis("filter", showgrid=False, autorange="reversed")
    )
    return figure


def _cosines(vectors: Floats) -> Floats:
    """Of each two rows; of a row of zeros 0."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1.0)
    cosines: Floats = unit @ unit.T
    return cosines


def defect_figure(networks: Sequence[Seen]) -> go.Figure:
    """How far each convolution is from orthogonal, from the first to the last."""
    title = "Distance from orthogonality, layer by layer"
    convolutional = [seen for seen in networks if seen.evidence.layer_defects]
    if not convolutional:
        return empty_figure(title, "There are no convolutions.")
    figure = bare_figure(title, "0 is orthogonal, 1 a layer of zeros")
    for seen in convolutional:
        defects = seen.evidence.layer_defects
        figure.add_trace(
            go.Scatter(
                x=list(range(1, len(defects) + 1)),
                y=[float(f"{defect:.4g}") for defect in defects],
                mode="lines+markers",
                name=ink(html.escape(f"{seen.name} (mean {seen.evidence.mean_defect:.3g})")),
                line={"color": seen.colour, "width": 2},
                hovertemplate=f"{html.escape(seen.name)}<br>convolution %{{x}}: %{{y:.3g}}<extra></extra>",
            )
        )
    largest = max(max(seen.evidence.layer_defects) for seen in convolutional)
    figure.update_layout(
        xaxis=axis("convolution"),
        yaxis=axis("defect", **({"type": "log", "dtick": 1} if largest > 10 else {"rangemode": "tozero"})),
    )
    return figure


def embedding_figure(evidence: Evidence, who: str, units: str = "images") -> go.Figure:
    """A t-SNE of the classifier's input; a class has a colour, and what was taken for another one a ring.

    Args:
        units: What a point is, as a plural.
    """
    title, found = "Features before the classifier (t-SNE)", evidence.embedding
    if not len(found.images):
        return empty_figure(title, f"Too few validation {units} for a t-SNE.")
    note = f"{len(found.images):,} validation {units} as {who} sees them; ringed: taken for another class"
    figure = bare_figure(title, note)
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


def _add_class(figure: go.Figure, evidence: Evidence, place: int, members: Floats) -> None:
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
