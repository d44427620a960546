"""Example architectures, one for each family, with any gene replaced."""

from __future__ import annotations

from typing import Any

from nas.space.architecture import (
    DenseNetArchitecture,
    MobileNetArchitecture,
    ResNetArchitecture,
    SearchedArchitecture,
    VggArchitecture,
)

FAMILIES = ("vgg", "resnet", "densenet", "mobilenet")
ACTIVATIONS = ("relu", "leaky_relu", "silu", "gelu")
NORMALIZATIONS = ("batch", "none")
BLOCK_GENES: dict[str, dict[str, Any]] = {
    "vgg": {"stem_stride": 2, "strides": (2, 1), "squeeze_ratio": 0.25},
    "resnet": {
        "strides": (2, 1), "squeeze_ratio": 0.25, "bottleneck": 0.5, "preactivated": True, "downsampling": "average",
    },
    "densenet": {"stem_stride": 2, "strides": (2, 1), "squeeze_ratio": 0.5},
    "mobilenet": {"strides": (2, 2), "squeeze_ratio": 0.25, "downsampling": "average"},
}  # fmt: skip
"""Genes of strides and blocks that are not at their defaults, for each family."""


def architecture(family: str, **genes: Any) -> SearchedArchitecture:
    """Create two stages, stem 8, widths 8 and 16 (DenseNet: growth rate 6, no widths), with some genes replaced."""
    genes = {"stem_width": 8, "depths": (2, 2), "widths": (8, 16), **genes}
    if family == "densenet":
        del genes["widths"]
        return DenseNetArchitecture(**{"growth_rate": 6, **genes})
    staged: dict[str, type[VggArchitecture | ResNetArchitecture | MobileNetArchitecture]] = {
        "vgg": VggArchitecture,
        "resnet": ResNetArchitecture,
        "mobilenet": MobileNetArchitecture,
    }
    return staged[family](**genes)
