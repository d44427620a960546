"""Confusion matrix of a network and its most confused pairs of classes.

Dimensions: K classes.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from nas.report.figures.class_f1 import shortened
from nas.report.figures.figure_style import axis, blank_figure, themed_text
from nas.results.network_analysis import Integers, NetworkAnalysis, NetworkComparison

MOST_PAIRS = 8
MOST_CLASSES = 100
"""Largest number of classes whose whole matrix is drawn; of more, the worst 60 are."""
_WORST = 60
_FEW = 12
_MANY = 30
_ROOM = 30
"""Letters that fit on one line below a figure in a narrow window."""
# Opacity is the square root of the share, so that 1 % is visible on a light page and on a dark one.
_SHADES = ((0.0, "rgba(61, 155, 220, 0)"), (1.0, "rgba(61, 155, 220, 1)"))
_MARKS = (0.0, 0.01, 0.05, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class ConfusedPair:
    """Images of one class that were classified as another.

    Attributes:
        truth: Index of the true class.
        predicted: Index of the predicted class.
        count: Number of images.
        share: Share of the images of the true class.
        examples: Indices of such images, highest confidence first.
    """

    truth: int
    predicted: int
    count: int
    share: float
    examples: tuple[int, ...]


def confusion_figure(confusion_KK: Integers, classes: Sequence[str], network_name: str) -> go.Figure:
    """Heat map of the confusion matrix, normalised over each true class.

    Args:
        confusion_KK: Counts of images; rows are true classes, columns predicted ones.
    """
    support_K1 = confusion_KK.sum(1, keepdims=True)
    share_KK = confusion_KK / np.maximum(support_K1, 1)
    note = "on validation images; shares of each true class, a row"
    if len(classes) > MOST_CLASSES:
        worst = worst_confused_classes(confusion_KK)
        note += f"; the {len(worst)} of {len(classes):,} classes with the most confused images"
        classes = [classes[place] for place in worst]
        confusion_KK, share_KK = confusion_KK[np.ix_(worst, worst)], share_KK[np.ix_(worst, worst)]
    figure = blank_figure(f"Confusion of {network_name}", note)
    names = [html.escape(shortened(name)) for name in classes]
    places = list(range(len(names)))
    counts = [[f"{count:,}" for count in row] for row in confusion_KK.tolist()]
    # A gap would fill most of a small cell.
    gap = 1 if len(names) <= _MANY else 0
    figure.add_trace(
        go.Heatmap(
            x=places,
            y=places,
            z=np.sqrt(share_KK).round(3).tolist(),
            zmin=0,
            zmax=1,
            customdata=[
                [
                    [names[truth], names[predicted], counts[truth][predicted], f"{share_KK[truth, predicted]:.1%}"]
                    for predicted in places
                ]
                for truth in places
            ],
            text=[[themed_text(count) if count != "0" else "" for count in row] for row in counts]
            if len(names) <= _FEW
            else None,
            texttemplate="%{text}" if len(names) <= _FEW else None,
            textfont={"size": 13},
            colorscale=_SHADES,
            colorbar={
                "tickvals": [mark**0.5 for mark in _MARKS],
                "ticktext": [themed_text(f"{mark:.0%}") for mark in _MARKS],
                "thickness": 10,
                "outlinewidth": 0,
            },
            xgap=gap,
            ygap=gap,
            hovertemplate="%{customdata[0]} taken for %{customdata[1]}:<br>"
            "%{customdata[2]} (%{customdata[3]})<extra></extra>",
        )
    )
    ticks = {
        "tickvals": places,
        "ticktext": [themed_text(name) for name in names],
        "tickfont": {"size": 13 if len(names) <= _FEW else 11 if len(names) <= _MANY else 8},
        "showgrid": False,
    }
    longest = max(map(len, names))
    is_horizontal = longest < 3 or longest * len(names) < _ROOM
    plain = {"tickprefix": "", "ticksuffix": ""}
    figure.update_layout(
        xaxis=axis("taken for", **plain) | ticks | {"tickangle": 0 if is_horizontal else -90},
        yaxis=axis("true class", **plain) | ticks | {"range": [len(names) - 0.5, -0.5]},
        height=min(860, 240 + 40 * len(names)),
    )
    return figure


def worst_confused_classes(confusion_KK: Integers) -> list[int]:
    """Return the classes with the most images of another class or taken for another class, in the order of classes."""
    right_K = np.diagonal(confusion_KK)
    confused_K = confusion_KK.sum(0) + confusion_KK.sum(1) - 2 * right_K
    return sorted(np.argsort(-confused_K, kind="stable")[:_WORST].tolist())


def most_confused(
    comparison: NetworkComparison, network: NetworkAnalysis, most: int = MOST_PAIRS, examples: int = 4
) -> list[ConfusedPair]:
    """Return the most confused pairs of classes by images, ties by the share of the true class.

    Args:
        most: Maximum number of pairs.
        examples: Maximum number of example images of a pair.
    """
    confusion_KK = comparison.confusion(network)
    support_K = confusion_KK.sum(1)
    pairs = [
        (int(truth), int(predicted), int(confusion_KK[truth, predicted]))
        for truth, predicted in np.argwhere(confusion_KK)
        if truth != predicted
    ]
    pairs.sort(key=lambda pair: (-pair[2], support_K[pair[0]]))
    return [
        ConfusedPair(
            truth,
            predicted,
            count,
            count / int(support_K[truth]),
            _most_confident(comparison, network, truth, predicted)[:examples],
        )
        for truth, predicted, count in pairs[:most]
    ]


def _most_confident(
    comparison: NetworkComparison, network: NetworkAnalysis, truth: int, predicted: int
) -> tuple[int, ...]:
    places = np.flatnonzero((comparison.labels == truth) & (network.predictions == predicted))
    return tuple(int(place) for place in places[np.argsort(-network.confidences[places], kind="stable")])
