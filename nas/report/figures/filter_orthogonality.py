"""Figures on the orthogonality of a network's filters and layers."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from nas.report.figures.figure_style import axis, blank_figure, empty_figure, themed_text
from nas.report.figures.named_network import NamedNetwork
from nas.results.network_analysis import Floats

# Negative, zero (transparent) and positive.
_DIVERGING = ((0.0, "rgb(213, 94, 0)"), (0.5, "rgba(128, 128, 128, 0)"), (1.0, "rgb(61, 155, 220)"))
# An MLP has hundreds of units, and the figure one number for each pair of units.
_MOST_COMPARED = 128


def similarity_figure(network: NamedNetwork) -> go.Figure:
    """Heat map of the cosine similarity between the filters of the first layer; orthogonal filters have 0."""
    flat = network.analysis.filters.reshape(len(network.analysis.filters), -1)
    number, length = flat.shape
    cosines = _cosines(flat[:_MOST_COMPARED])
    shown = f", {_MOST_COMPARED} of them shown" if number > _MOST_COMPARED else ""
    note = f"{number} filters of {length} weights{shown}; blue alike, red opposite, clear orthogonal"
    if number > length:
        note += f"; no more than {length} can be"
    figure = blank_figure(f"Angles between the first filters of {network.name}", note)
    figure.add_trace(
        go.Heatmap(
            z=cosines.round(3).tolist(), zmin=-1, zmax=1, colorscale=_DIVERGING, xgap=0.5, ygap=0.5,
            colorbar={"thickness": 10, "outlinewidth": 0, "tickvals": [-1, 0, 1], "tickprefix": "", "ticktext": [
                themed_text("-1"), themed_text("0"), themed_text("+1")]},
            hovertemplate="filters %{y} and %{x}: cosine %{z:.2f}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        xaxis=axis("filter", showgrid=False), yaxis=axis("filter", showgrid=False, autorange="reversed")
    )
    return figure


def _cosines(vectors: Floats) -> Floats:
    """Cosine similarity between all rows [M, ...] as [M, M]; 0 for a row of zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit_vectors = vectors / np.where(lengths > 0, lengths, 1.0)
    cosines: Floats = unit_vectors @ unit_vectors.T
    return cosines


def defect_figure(networks: Sequence[NamedNetwork]) -> go.Figure:
    """Line chart of the orthogonality defect of each convolution, in forward order."""
    title = "Distance from orthogonality, layer by layer"
    convolutional = [network for network in networks if network.analysis.layer_defects]
    if not convolutional:
        return empty_figure(title, "There are no convolutions.")
    figure = blank_figure(title, "0 is orthogonal, 1 a layer of zeros")
    for network in convolutional:
        defects = network.analysis.layer_defects
        figure.add_trace(
            go.Scatter(
                x=list(range(1, len(defects) + 1)),
                y=[float(f"{defect:.4g}") for defect in defects],
                mode="lines+markers",
                name=themed_text(html.escape(f"{network.name} (mean {network.analysis.mean_defect:.3g})")),
                line={"color": network.colour, "width": 2},
                hovertemplate=f"{html.escape(network.name)}<br>convolution %{{x}}: %{{y:.3g}}<extra></extra>",
            )
        )
    largest = max(max(network.analysis.layer_defects) for network in convolutional)
    figure.update_layout(
        xaxis=axis("convolution"),
        yaxis=axis("defect", **({"type": "log", "dtick": 1} if largest > 10 else {"rangemode": "tozero"})),
    )
    return figure
