"""ROC and precision-recall figures."""

from __future__ import annotations

import html
from collections.abc import Sequence

import plotly.graph_objects as go

from nas.report.figures.figure_style import GREY, axis, blank_figure, themed_text
from nas.report.figures.named_network import NamedNetwork
from nas.results.network_analysis import Curve

_FEW_NETWORKS = 2


def roc_figure(networks: Sequence[NamedNetwork], classes: Sequence[str]) -> go.Figure:
    """ROC curves: micro and macro average, or for two classes the second one, whose area equals the first's."""
    scope = f"{classes[1]} against {classes[0]}" if len(classes) == 2 else "each class against the rest"
    figure = blank_figure("ROC", f"{scope}, on validation images; in brackets the area")
    for network in networks:
        curves = network.analysis.discrimination
        if curves.roc_by_class:
            _add_curve(figure, network, "", curves.roc_by_class[1])
        else:
            _add_curve(figure, network, "micro", curves.roc_micro)
            _add_curve(figure, network, "macro", curves.roc_macro, "dash")
    chance = {"color": GREY, "width": 1, "dash": "dot"}
    figure.add_trace(go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line=chance, hoverinfo="skip", showlegend=False))
    return _unit_square(figure, "false positive rate", "true positive rate")


def precision_recall_figure(networks: Sequence[NamedNetwork], classes: Sequence[str]) -> go.Figure:
    """Precision-recall curves: micro and macro average, or for two classes one curve each.

    With more than two networks, only the second of two classes is drawn.
    """
    is_crowded = len(networks) > _FEW_NETWORKS
    scope = "each class against the rest"
    if len(classes) == 2:
        scope = f"of {classes[1]}" if is_crowded else "of either class"
    figure = blank_figure("Precision and recall", f"{scope}; in brackets the average precision")
    for network in networks:
        curves = network.analysis.discrimination
        if curves.precision_recall_by_class:
            first, second = curves.precision_recall_by_class
            _add_curve(figure, network, "" if is_crowded else classes[1], second)
            if not is_crowded:
                _add_curve(figure, network, classes[0], first, "dash")
        else:
            _add_curve(figure, network, "micro", curves.precision_recall_micro)
            _add_curve(figure, network, "macro", curves.precision_recall_macro, "dash")
    return _unit_square(figure, "recall", "precision")


def _add_curve(figure: go.Figure, network: NamedNetwork, kind: str, curve: Curve, dash: str = "solid") -> None:
    name = html.escape(f"{network.name}, {kind}" if kind else network.name)
    figure.add_trace(
        go.Scatter(
            x=curve.x.round(4).tolist(),
            y=curve.y.round(4).tolist(),
            mode="lines",
            name=themed_text(f"{name} ({curve.area:.3f})"),
            line={"color": network.colour, "width": 2, "dash": dash},
            hovertemplate=f"{name}<br>%{{x:.3f}}, %{{y:.3f}}<extra></extra>",
        )
    )


def _unit_square(figure: go.Figure, x: str, y: str) -> go.Figure:
    figure.update_layout(
        xaxis=axis(x, range=[-0.01, 1.01], tickformat=".1f"), yaxis=axis(y, range=[-0.01, 1.02], tickformat=".1f")
    )
    return figure
