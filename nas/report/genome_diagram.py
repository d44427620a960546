"""An architecture as a diagram: layers from top to bottom, bars as wide as their channels are many. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup, escape
from typing_extensions import assert_never

from nas.facts import DataFacts
from nas.genome import (
    Architecture,
    ConvolutionalArchitecture,
    DenseNetArchitecture,
    MobileNetArchitecture,
    PretrainedArchitecture,
    ReferenceArchitecture,
    ResNetArchitecture,
    VggArchitecture,
)

Link = Literal["none", "skip", "dense"]

_WIDTH, _BARS, _TEXT = 560, 130, 178
_BAR_HEIGHT, _GAP, _ROW_GAP, _LEAST = 12, 6, 20, 40


@dataclass(frozen=True)
class Layer:
    """One row of the diagram.

    Attributes:
        channels: What it returns.
        blocks: How many of its kind follow each other.
        link: How its blocks are bridged.
    """

    name: str
    detail: str
    channels: int
    blocks: int = 1
    link: Link = "none"
    kind: Literal["data", "convolution", "head"] = "convolution"


def layers_of(architecture: Architecture, facts: DataFacts) -> list[Layer]:
    """From the image to the classes."""
    if isinstance(architecture, PretrainedArchitecture):
        return _pretrained_layers(architecture, facts)
    if isinstance(architecture, ReferenceArchitecture):
        # The published network in the genes of its family.
        architecture = ResNetArchitecture(stem_width=64, depths=(2, 2, 2, 2), widths=(64, 128, 256, 512))
    height, width = facts.height, facts.width
    layers = [
        Layer("image", f"{facts.channels} × {height} × {width}", facts.channels, kind="data"),
        Layer(
            f"{_kernel(architecture, factorized=False)} convolution → {architecture.stem_width}",
            _listed(f"{height} × {width}", _normalization(architecture), _dropout(architecture.dropout_first),
                    _noise(architecture.noise_std)),
            architecture.stem_width,
        ),
    ]  # fmt: skip
    for stage, (depth, channels) in enumerate(_stages(architecture)):
        if stage > 0:
            height, width = -(-height // 2), -(-width // 2)
        detail = _listed(f"{height} × {width}", _block_detail(architecture))
        layers.append(
            Layer(f"{depth} × {_block(architecture)} → {channels}", detail, channels, depth, _link(architecture))
        )
    layers.append(Layer("average over all pixels", f"{layers[-1].channels} features", layers[-1].channels, kind="head"))
    layers += [
        Layer(f"hidden layer → {hidden}", architecture.activation, hidden, kind="head")
        for hidden in architecture.head_widths
    ]
    num_classes = len(facts.classes)
    layers.append(Layer(f"classifier → {num_classes}", _dropout(architecture.dropout_head), num_classes, kind="head"))
    return layers


def _pretrained_layers(architecture: PretrainedArchitecture, facts: DataFacts) -> list[Layer]:
    trunk = "ImageNet weights, " + ("frozen" if architecture.frozen else "trained further")
    return [
        Layer("image", f"{facts.channels} × {facts.height} × {facts.width}", facts.channels, kind="data"),
        Layer("resized", "3 × 224 × 224", 3, kind="data"),
        Layer(f"{architecture.network} → 512", trunk, 512, blocks=8, link="skip"),
        *(Layer(f"hidden layer → {hidden}", "relu", hidden, kind="head") for hidden in architecture.head_widths),
        Layer(f"classifier → {len(facts.classes)}", "", len(facts.classes), kind="head"),
    ]


def genome_diagram(architecture: Architecture, facts: DataFacts) -> Markup:
    """SVG in the colours of the page it stands on."""
    layers = layers_of(architecture, facts)
    widest = math.log2(1 + max(layer.channels for layer in layers))
    parts, top = [], 8
    for place, layer in enumerate(layers):
        height = max(_LEAST, layer.blocks * (_BAR_HEIGHT + _GAP) - _GAP)
        parts.append(_row(layer, top, height, round(_BARS * math.log2(1 + layer.channels) / widest)))
        if place + 1 < len(layers):
            parts.append(_arrow(top + height + 2, _ROW_GAP - 4))
        top += height + _ROW_GAP
    alt = escape(f"{architecture.family}: " + ", ".join(layer.name for layer in layers))
    return Markup(
        f'<svg class="genome" viewBox="0 0 {_WIDTH} {top}" role="img" aria-label="{alt}">{"".join(parts)}</svg>'
    )


def _row(layer: Layer, top: int, height: int, width: int) -> str:
    drawn = layer.blocks * (_BAR_HEIGHT + _GAP) - _GAP
    first = top + (height - drawn) // 2
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
    """Arcs past each block, or from each block to the last."""
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


def _stages(architecture: ConvolutionalArchitecture) -> Iterator[tuple[int, int]]:
    """Depth and channels of each."""
    if isinstance(architecture, DenseNetArchitecture):
        channels = architecture.stem_width
        for stage, depth in enumerate(architecture.depths):
            if stage > 0:
                channels = max(1, int(channels * architecture.compression))
            channels += depth * architecture.growth_rate
            yield depth, channels
    elif isinstance(architecture, VggArchitecture | ResNetArchitecture | MobileNetArchitecture):
        yield from zip(architecture.depths, architecture.widths, strict=True)


def _block(architecture: VggArchitecture | ResNetArchitecture | DenseNetArchitecture | MobileNetArchitecture) -> str:
    match architecture:
        case VggArchitecture():
            return "convolution"
        case ResNetArchitecture():
            return "residual block"
        case DenseNetArchitecture():
            return "dense layer"
        case MobileNetArchitecture():
            return "inverted residual"
        case _:
            assert_never(architecture)


def _block_detail(architecture: ConvolutionalArchitecture) -> str:
    kernel = _kernel(architecture, factorized=architecture.factorized)
    match architecture:
        case ResNetArchitecture():
            return f"each twice {kernel}"
        case DenseNetArchitecture():
            return f"1×1, then {kernel}, adds {architecture.growth_rate}"
        case MobileNetArchitecture():
            return f"× {architecture.expansion} inside, {kernel} depthwise"
        case _:
            return kernel


def _link(architecture: ConvolutionalArchitecture) -> Link:
    if isinstance(architecture, DenseNetArchitecture):
        return "dense"
    return "skip" if isinstance(architecture, ResNetArchitecture | MobileNetArchitecture) else "none"


def _kernel(architecture: ConvolutionalArchitecture, *, factorized: bool) -> str:
    k = architecture.kernel_size
    return f"1×{k} then {k}×1" if factorized and k > 1 else f"{k}×{k}"


def _normalization(architecture: ConvolutionalArchitecture) -> str:
    normalized = "batch norm" if architecture.normalization == "batch" else "no normalisation"
    return f"{normalized}, {architecture.activation}"


def _dropout(probability: float) -> str:
    return f"dropout {probability:.2g}" if probability > 0 else ""


def _noise(std: float) -> str:
    return f"noise {std:.2g}" if std > 0 else ""


def _listed(*parts: str) -> str:
    return " · ".join(part for part in parts if part)
