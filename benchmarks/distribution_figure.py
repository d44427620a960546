"""Empirical distribution functions as an SVG file: one panel for each group, one line for each sample."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 280, 200
LEFT, TOP, GAP = 45, 40, 30
COLOURS = ("#888888", "#1f77b4", "#d62728", "#2ca02c")


@dataclass(frozen=True)
class Panel:
    """Samples of one group by name."""

    title: str
    samples: Mapping[str, Sequence[float]]


def distribution_svg(panels: Sequence[Panel]) -> str:
    """Draw the share of each sample that is at most x, over the range of all samples; one panel beside the other."""
    numbers = [number for panel in panels for sample in panel.samples.values() for number in sample]
    limits = math.floor(min(numbers, default=0.0) * 10) / 10, math.ceil(max(numbers, default=1.0) * 10) / 10
    total_width = LEFT + len(panels) * (WIDTH + GAP)
    legend = TOP + HEIGHT + 60
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total_width} {legend + 30}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for place, panel in enumerate(panels):
        parts.append(f'<g transform="translate({LEFT + place * (WIDTH + GAP)} {TOP})">{_panel(panel, *limits)}</g>')
    names = dict.fromkeys(name for panel in panels for name in panel.samples)
    for place, name in enumerate(names):
        x = LEFT + place * 300
        parts.append(f'<path d="M{x} {legend} h24" stroke="{_colour(place)}" stroke-width="2"/>')
        parts.append(f'<text x="{x + 30}" y="{legend + 4}">{escape(name)}</text>')
    return "\n".join((*parts, "</svg>\n"))


def _panel(panel: Panel, low: float, high: float) -> str:
    parts = [f'<text x="{WIDTH / 2}" y="-12" text-anchor="middle">{escape(panel.title)} parameters</text>']
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = tick * WIDTH, (1 - tick) * HEIGHT
        parts.append(f'<path d="M{x:g} 0 V{HEIGHT} M0 {y:g} H{WIDTH}" stroke="#dddddd"/>')
        number = low + tick * (high - low)
        parts.append(f'<text x="{x:g}" y="{HEIGHT + 16}" text-anchor="middle">{number:.3g}</text>')
        parts.append(f'<text x="-6" y="{y + 4:g}" text-anchor="end">{tick:g}</text>')
    parts.append(
        f'<text x="{WIDTH / 2}" y="{HEIGHT + 36}" text-anchor="middle">macro-F1, and share at most so high</text>'
    )
    for place, sample in enumerate(panel.samples.values()):
        if sample:
            parts.append(
                f'<path d="{_steps(sample, low, high)}" fill="none" stroke="{_colour(place)}" stroke-width="2"/>'
            )
    return "".join(parts)


def _steps(sample: Sequence[float], low: float, high: float) -> str:
    """Path of the distribution function, a step up at each number."""
    path = f"M0 {HEIGHT}"
    for rank, number in enumerate(sorted(sample), 1):
        path += f" H{(number - low) / (high - low) * WIDTH:.1f} V{(1 - rank / len(sample)) * HEIGHT:.1f}"
    return f"{path} H{WIDTH}"


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]
