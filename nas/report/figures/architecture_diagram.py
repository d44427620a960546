"""SVG diagram of an architecture: layers from top to bottom, bar width by number of channels. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator

from markupsafe import Markup, escape

from nas.report.figures.diagram_layers import Layer, diagram_layers
from nas.results.dataset_summary import DatasetSummary
from nas.space.architecture import (
    Architecture,
    family_name,
)

_WIDTH, _BARS, _TEXT = 560, 130, 178
_BAR_HEIGHT, _GAP, _ROW_GAP, _MIN_ROW_HEIGHT = 12, 6, 20, 40


def architecture_svg(architecture: Architecture, dataset: DatasetSummary) -> Markup:
    """Draw the diagram as SVG, coloured by the style sheet of the page."""
    layers = diagram_layers(architecture, dataset)
    widest = math.log2(1 + max(layer.channels for layer in layers))
    parts, top = [], 8
    for place, layer in enumerate(layers):
        height = max(_MIN_ROW_HEIGHT, layer.blocks * (_BAR_HEIGHT + _GAP) - _GAP)
        parts.append(_row(layer, top, height, round(_BARS * math.log2(1 + layer.channels) / widest)))
        if place + 1 < len(layers):
            parts.append(_arrow(top + height + 2, _ROW_GAP - 4))
        top += height + _ROW_GAP
    alt = escape(f"{family_name(architecture)}: " + ", ".join(layer.name for layer in layers))
    return Markup(
        f'<svg class="genome" viewBox="0 0 {_WIDTH} {top}" role="img" aria-label="{alt}">{"".join(parts)}</svg>'
    )


def _row(layer: Layer, top: int, height: int, width: int) -> str:
    bars_height = layer.blocks * (_BAR_HEIGHT + _GAP) - _GAP
    first = top + (height - bars_height) // 2
    left = 20 + (_BARS - width) // 2
    parts = []
    for block in range(layer.blocks):
        y = first + block * (_BAR_HEIGHT + _GAP)
        parts.append(f'<rect class="{layer.kind}" x="{left}" y="{y}" width="{width}" height="{_BAR_HEIGHT}" rx="3"/>')
    parts += _links(layer, first, left + width)
    middle = top + height // 2
    parts.append(f'<text class="name" x="{_TEXT}" y="{middle - 3}">{escape(layer.name)}</text>')
    parts.append(f'<text class="detail" x="{_TEXT}" y="{middle + 14}">{escape(layer.detail)}</text>')
    return "".join(parts)


def _links(layer: Layer, first: int, right: int) -> Iterator[str]:
    """Yield arcs around each block (skip), or from each block to the last one (dense)."""
    step = _BAR_HEIGHT + _GAP
    if layer.link == "skip":
        for block in range(layer.blocks):
            top = first + block * step - _GAP // 2
            bottom, reach = top + step, right + 14
            yield f'<path class="link" d="M{right} {top} C{reach} {top} {reach} {bottom} {right} {bottom}"/>'
    elif layer.link == "dense":
        last = first + (layer.blocks - 1) * step + _BAR_HEIGHT / 2
        for block in range(layer.blocks - 1):
            y, reach = first + block * step + _BAR_HEIGHT / 2, right + 8 + 3 * min(6, layer.blocks - block)
            yield f'<path class="link" d="M{right} {y} C{reach} {y} {reach} {last} {right} {last}"/>'


def _arrow(top: int, length: int) -> str:
    x, bottom = 20 + _BARS // 2, top + length
    return f'<path class="arrow" d="M{x} {top} V{bottom} M{x - 4} {bottom - 4} L{x} {bottom} L{x + 4} {bottom - 4}"/>'
