"""Which classes a network takes for which.

Dimensions: K classes.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from nas.report.figures.class_f1 import shortened
from nas.report.figures.figure_style import axis, blank_figure, ink
from nas.results.network_analysis import Integers, NetworkAnalysis, NetworkComparison

MOST_PAIRS = 8
_FEW = 12
_MANY = 30
_ROOM = 30
"""Letters that fit side by side below a figure in a narrow window."""
# A share has the opacity of its root, so that one confusion in a hundred is seen, on a light page and a dark one.
_SHADES = ((0.0, "rgba(61, 155, 220, 0)"), (1.0, "rgba(61, 155, 220, 1)"))
_MARKS = (0.0, 0.01, 0.05, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class Confused:
    """A pair of classes.

    Attributes:
        truth: The class of the images.
        taken_for: The class that was predicted.
        count: How many images.
        share: Of the images of their class.
        examples: Places of these images, those of which the network was surest first.
    """

    truth: int
    taken_for: int
    count: int
    share: float
    examples: tuple[int, ...]


def confusion_figure(confusion_KK: Integers, classes: Sequence[str], who: str) -> go.Figure:
    """A square of true classes (rows) and predicted ones (columns), each row in shares of its images."""
    support_K1 = confusion_KK.sum(1, keepdims=True)
    share_KK = confusion_KK / np.maximum(support_K1, 1)
    figure = blank_figure(f"Confusion of {who}", "on validation images; shares of each true class, a row")
    names = [html.escape(shortened(name)) for name in classes]
    places = list(range(len(names)))
    counts = [[f"{count:,}" for count in row] for row in confusion_KK.tolist()]
    # A gap would take most of a small cell.
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
                    [names[truth], names[guess], counts[truth][guess], f"{share_KK[truth, guess]:.1%}"]
                    for guess in places
                ]
                for truth in places
            ],
            text=[[ink(count) if count != "0" else "" for count in row] for row in counts]
            if len(names) <= _FEW
            else None,
            texttemplate="%{text}" if len(names) <= _FEW else None,
            textfont={"size": 13},
            colorscale=_SHADES,
            colorbar={
                "tickvals": [mark**0.5 for mark in _MARKS],
                "ticktext": [ink(f"{mark:.0%}") for mark in _MARKS],
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
        "ticktext": [ink(name) for name in names],
        "tickfont": {"size": 13 if len(names) <= _FEW else 11 if len(names) <= _MANY else 8},
        "showgrid": False,
    }
    longest = max(map(len, names))
    lies_flat = longest < 3 or longest * len(names) < _ROOM
    plain = {"tickprefix": "", "ticksuffix": ""}
    figure.update_layout(
        xaxis=axis("taken for", **plain) | ticks | {"tickangle": 0 if lies_flat else -90},
        yaxis=axis("true class", **plain) | ticks | {"range": [len(names) - 0.5, -0.5]},
        height=min(860, 240 + 40 * len(names)),
    )
    return figure


def most_confused(
    evidence: NetworkComparison, network: NetworkAnalysis, most: int = MOST_PAIRS, examples: int = 4
) -> list[Confused]:
    """The pairs with most images, largest first; of equal ones those with the larger share of their class."""
    confusion_KK = evidence.confusion(network)
    support_K = confusion_KK.sum(1)
    pairs = [
        (int(truth), int(guess), int(confusion_KK[truth, guess]))
        for truth, guess in np.argwhere(confusion_KK)
        if truth != guess
    ]
    pairs.sort(key=lambda pair: (-pair[2], support_K[pair[0]]))
    return [
        Confused(
            truth,
            guess,
            count,
            count / int(support_K[truth]),
            _surest(evidence, network, truth, guess)[:examples],
        )
        for truth, guess, count in pairs[:most]
    ]


def _surest(evidence: NetworkComparison, network: NetworkAnalysis, truth: int, guess: int) -> tuple[int, ...]:
    places = np.flatnonzero((evidence.labels == truth) & (network.predictions == guess))
    return tuple(int(place) for place in places[np.argsort(-network.confidences[places], kind="stable")])
