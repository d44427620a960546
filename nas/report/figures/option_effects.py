"""Figure of the effects of a search's options on macro-F1."""

from __future__ import annotations

import html

import plotly.graph_objects as go

from nas.report.figures.figure_style import GREY, axis, blank_figure, empty_figure, family_style, themed_text
from nas.search.analysis.option_effects import Explanation, OptionEffect

MAX_OPTIONS = 12


def options_figure(explanation: Explanation) -> go.Figure:
    """Dot plot of the largest effects on macro-F1, each with its confidence interval."""
    title = "What mattered"
    ordered = explanation.by_importance
    compared = [effect for effect in ordered if effect.difference is not None]
    if not compared:
        return empty_figure(title, _nothing_compared(explanation))
    shown = compared[:MAX_OPTIONS]
    figure = blank_figure(title, _note(explanation, shown, ordered))
    for clear, name, colour in (
        (True, "surely", family_style("vgg").colour),
        (False, "perhaps: the interval holds 0", GREY),
    ):
        places = [place for place, effect in enumerate(shown) if _is_clear(effect) == clear]
        if places:
            figure.add_trace(_intervals(shown, places, name, colour))
    figure.update_layout(
        xaxis=axis("difference in macro-F1", tickformat="+.3~f")
        | {"zeroline": True, "zerolinecolor": GREY, "zerolinewidth": 1},
        yaxis=axis("", tickprefix="", ticksuffix="")
        | {
            "tickvals": list(range(len(shown))),
            "ticktext": [themed_text(_label(effect)) for effect in shown],
            "range": [len(shown) - 0.5, -0.5],
            "showgrid": False,
        },
    )
    return figure


def _intervals(shown: list[OptionEffect], places: list[int], name: str, colour: str) -> go.Scatter:
    differences = [difference for place in places if (difference := shown[place].difference) is not None]
    return go.Scatter(
        x=[round(difference.mean, 4) for difference in differences],
        y=places,
        error_x={
            "type": "data",
            "array": [round(difference.high - difference.mean, 4) for difference in differences],
            "color": colour,
            "thickness": 2,
            "width": 4,
        },
        customdata=[
            [
                _label(shown[place]),
                difference.pairs,
                f"{difference.low:+.4f} to {difference.high:+.4f}",
            ]
            for place, difference in zip(places, differences, strict=True)
        ],
        mode="markers",
        name=themed_text(name),
        marker={"color": colour, "size": 9},
        hovertemplate=(
            "%{customdata[0]}<br>%{x:+.4f} (95 %: %{customdata[2]})<br>%{customdata[1]} pairs<extra></extra>"
        ),
    )


def _is_clear(effect: OptionEffect) -> bool:
    difference = effect.difference
    return difference is not None and not difference.low <= 0 <= difference.high


def _label(effect: OptionEffect) -> str:
    """Gene without its section, and the option."""
    return html.escape(f"{effect.option.gene.partition('.')[2]}: {effect.option}")


def _note(explanation: Explanation, shown: list[OptionEffect], ordered: list[OptionEffect]) -> str:
    compared = sum(effect.difference is not None for effect in ordered)
    parts = [f"with it minus without it, over matched pairs of {explanation.num_trials:,} trials, with 95 % intervals"]
    if len(shown) < compared:
        parts.append(f"{len(shown)} of {compared} options")
    if compared < len(ordered):
        parts.append(f"{len(ordered) - compared} more have too few pairs")
    return "; ".join(parts)


def _nothing_compared(explanation: Explanation) -> str:
    if explanation.num_trials < 2:
        return "Fewer than two trials have a result."
    if not explanation.effects:
        return "No option varies among the trials."
    return f"Too few pairs among {explanation.num_trials:,} trials that differ in one option and in little else."
