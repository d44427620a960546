"""One architecture a family, with any gene replaced."""

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


def architecture(family: str, **genes: Any) -> SearchedArchitecture:
    """Two stages, stem 8 and widths 8 and 16 (DenseNet: growth rate 6, no widths), unless the genes say otherwise."""
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
