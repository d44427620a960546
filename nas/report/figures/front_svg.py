"""Figure of the front as an SVG file for a README: front, baseline, target and answer, on light and dark pages.

Written here, since Plotly's own export of images needs a browser, and another plotting library would be installed for
this one figure. Nothing has a background, and every colour has a contrast of about 4 with white and with dark grey.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from html import escape

from nas.report.figures.figure_style import BASELINE_COLOUR, GREY, family_style
from nas.search.analysis.baseline_names import network_name
from nas.search.analysis.front_summary import FrontSummary
from nas.search.storage.trial_records import TrialRecord

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 44, 84
_SHOWN_BELOW = 0.25
"""Macro-F1 below the baseline at which members of the front are left out, unless there is no baseline."""


@dataclass(frozen=True)
class _Axes:
    """Scales from log10 of the cost and the score to pixels."""

    decades: tuple[int, int]
    scores: tuple[float, float]

    def x(self, cost: float) -> float:
        first, last = self.decades
        return _LEFT + (math.log10(cost) - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, score: float) -> float:
        low, high = self.scores
        return _HEIGHT - _BOTTOM - (score - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)


def front_svg(summary: FrontSummary, answer: TrialRecord | None, verdict: str) -> str:
    """Draw the score against the cost of the front, with the baseline, the target and the answer.

    Args:
        answer: Network to ring, after finals that of the finals; None for none.
        verdict: Description of the figure for readers that do not see it.
    """
    baseline, members = summary.baseline, list(summary.front)
    if baseline is not None:
        near = [one for one in members if _is_near(one, baseline)]
        members = near or members[-1:]
    others = [one for one in summary.other_baselines if baseline is None or _is_near(one, baseline)]
    shown = [*members, *others, *([baseline] if baseline is not None else [])]
    target = None if summary.target is None else summary.target.macro_f1
    axes = _axes(shown, target)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="{GREY}">',
        f"<title>{escape(f'Front of {summary.study}')}</title>", f"<desc>{escape(verdict)}</desc>",
        _text(_LEFT, 22, f"{summary.study}: {summary.pair.score_definition.title} on validation images", weight="bold"),
        *_grid(axes, summary.pair.cost_definition.title), *_target_line(axes, summary, target), _steps(axes, members),
        *(_marker(axes, one, family_style(one.family).colour) for one in members),
    ]  # fmt: skip
    for record in others:
        parts += _baseline(axes, record, network_name(record))
    if baseline is not None:
        parts += _baseline(axes, baseline, summary.reference_name)
    if answer is not None:
        parts += _answer(axes, summary, answer)
    parts += _legend(members)
    return "\n".join((*parts, "</svg>\n"))


def _is_near(record: TrialRecord, baseline: TrialRecord) -> bool:
    return record.score >= baseline.score - _SHOWN_BELOW


def _baseline(axes: _Axes, record: TrialRecord, name: str) -> list[str]:
    """Diamond of a baseline with its name, which says where its score is from."""
    x, y = axes.x(record.cost or 1), axes.y(record.score)
    number = record.pair.cost_definition.number(record.cost or 1)
    return [
        f'<path d="M{x:.1f} {y - 8:.1f} l8 8 -8 8 -8 -8z" fill="{BASELINE_COLOUR}"/>',
        _text(x - 12, y - 12, f"{name} ({number})", anchor="end"),
    ]


def _axes(shown: list[TrialRecord], target: float | None) -> _Axes:
    sizes = [math.log10(one.cost or 1) for one in shown]
    first, last = math.floor(min(sizes)), math.ceil(max(sizes))
    scores = [one.score for one in shown] + ([target] if target is not None else [])
    step = _step(max(scores) - min(scores))
    low, high = math.floor(min(scores) / step - 0.2) * step, math.ceil(max(scores) / step + 0.2) * step
    return _Axes((first, max(last, first + 1)), (low, high))


def _step(extent: float) -> float:
    """Distance of ticks: 1, 2 or 5 times a power of ten, for at most about six of them."""
    rough = max(extent, 0.005) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)


def _grid(axes: _Axes, title: str) -> list[str]:
    parts = []
    first, last = axes.decades
    for decade in range(first, last + 1):
        x = axes.x(10.0**decade)
        parts.append(_line(x, _TOP, x, _HEIGHT - _BOTTOM))
        parts.append(_text(x, _HEIGHT - _BOTTOM + 18, _short(10**decade), anchor="middle"))
    low, high = axes.scores
    step = _step(high - low)
    for tick in range(round(low / step), round(high / step) + 1):
        y = axes.y(tick * step)
        parts.append(_line(_LEFT, y, _WIDTH - _RIGHT, y))
        parts.append(_text(_LEFT - 8, y + 4, f"{tick * step:.{max(1, -math.floor(math.log10(step)))}f}", anchor="end"))
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - _BOTTOM + 38, title, anchor="middle"))
    return parts


def _target_line(axes: _Axes, summary: FrontSummary, target: float | None) -> list[str]:
    if target is None:
        return []
    y = axes.y(target)
    dashes = f'stroke="{BASELINE_COLOUR}" stroke-width="2" stroke-dasharray="6 5"'
    path = f'<path d="M{_LEFT} {y:.1f} H{_WIDTH - _RIGHT}" {dashes}/>'
    return [path, _text(_WIDTH - _RIGHT, y + 17, summary.target_text, anchor="end")]


def _steps(axes: _Axes, members: list[TrialRecord]) -> str:
    """Line of the best score of networks up to a cost."""
    if not members:
        return ""
    path = f"M{axes.x(members[0].cost or 1):.1f} {axes.y(members[0].score):.1f}"
    for one in members[1:]:
        path += f" H{axes.x(one.cost or 1):.1f} V{axes.y(one.score):.1f}"
    return f'<path d="{path}" fill="none" stroke="{GREY}" stroke-width="1.5"/>'


def _marker(axes: _Axes, one: TrialRecord, colour: str) -> str:
    x, y = axes.x(one.cost or 1), axes.y(one.score)
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>'


def _answer(axes: _Axes, summary: FrontSummary, answer: TrialRecord) -> list[str]:
    x, y = axes.x(answer.cost or 1), axes.y(answer.score)
    ratio = summary.times_smaller(answer)
    smaller = "" if ratio is None or ratio < 2 else f", {ratio:,.0f}x {summary.pair.cost_definition.comparative}"
    is_left = x < _WIDTH / 2
    return [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="11" fill="none" stroke="{BASELINE_COLOUR}" stroke-width="3"/>',
        _text(
            x + (16 if is_left else -16), y - 14, f"answer: {answer.cost_text}{smaller}",
            anchor="start" if is_left else "end", weight="bold",
        ),
    ]  # fmt: skip


def _legend(members: list[TrialRecord]) -> list[str]:
    parts, x = [], float(_LEFT)
    for family in dict.fromkeys(one.family for one in members):
        parts.append(f'<circle cx="{x + 5:.1f}" cy="{_HEIGHT - 18}" r="5" fill="{family_style(family).colour}"/>')
        parts.append(_text(x + 16, _HEIGHT - 14, family))
        x += 34 + 7.5 * len(family)
    return parts


def _short(number: int) -> str:
    return f"{number // 10**6} M" if number >= 10**6 else f"{number // 1000} k" if number >= 1000 else str(number)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f} L{x2:.1f} {y2:.1f}" stroke="{GREY}" stroke-opacity="0.25"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    short = textwrap.shorten(text, 90, placeholder="…")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(short)}</text>'
