"""Figures of how orthogonal a network's filters and layers are."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from nas.report.figures.analysed_network import NamedNetwork
from nas.report.figures.figure_style import axis, blank_figure, empty_figure, ink
from nas.results.network_analysis import Floats

# Negative, zero and positive, zero being clear.
_DIVERGING = ((0.0, "rgb(213, 94, 0)"), (0.5, "rgba(128, 128, 128, 0)"), (1.0, "rgb(61, 155, 220)"))


# An MLP has hundreds of units, and the figure as many numbers as pairs of them.
_MOST_COMPARED = 128


def similarity_figure(seen: NamedNetwork) -> go.Figure:
    """Cosine of the angle between each two filters of the first layer: 0 off the diagonal where they are orthogonal."""
    flat = seen.evidence.filters.reshape(len(seen.evidence.filters), -1)
    number, length = flat.shape
    cosines = _cosines(flat[:_MOST_COMPARED])
    shown = f", {_MOST_COMPARED} of them shown" if number > _MOST_COMPARED else ""
    note = f"{number} filters of {length} weights{shown}; blue alike, red opposite, clear orthogonal"
    if number > length:
        note += f"; no more than {length} can be"
    figure = blank_figure(f"Angles between the first filters of {seen.name}", note)
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


def defect_figure(networks: Sequence[NamedNetwork]) -> go.Figure:
    """How far each convolution is from orthogonal, from the first to the last."""
    title = "Distance from orthogonality, layer by layer"
    convolutional = [seen for seen in networks if seen.evidence.layer_defects]
    if not convolutional:
        return empty_figure(title, "There are no convolutions.")
    figure = blank_figure(title, "0 is orthogonal, 1 a layer of zeros")
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
