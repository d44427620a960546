"""Roles of parameters: names that stay the same when depths, strides or optional layers change.

PyTorch names a parameter by the position of its layer, which shifts with the number of layers before it. A role names
the stage, the block and the part of the block instead, so that two networks of one family share the parameters of equal
roles.
"""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import assert_never

from nas.space.architecture import (
    DenseNetArchitecture,
    MobileNetArchitecture,
    PluginArchitecture,
    ResNetArchitecture,
    SearchedArchitecture,
    VggArchitecture,
)
from nas.space.convolutional_architecture import StridedBlockArchitecture

_STAGES = "stages"


def parameter_role(name: str, layer_roles: tuple[str, ...], architecture: SearchedArchitecture) -> str:
    """Return the role of a network's parameter.

    Args:
        name: The parameter's name in the network.
        layer_roles: Roles of the layers in the network's stages, by `layer_roles`.
    """
    section, _, rest = name.partition(".")
    if section != _STAGES:
        return name
    index, _, inner = rest.partition(".")
    if isinstance(architecture, MobileNetArchitecture):
        inner = _inverted_residual_role(inner, architecture)
    return f"{layer_roles[int(index)]}.{inner}"


def layer_roles(architecture: SearchedArchitecture) -> tuple[str, ...]:
    """Return the role of each layer in a network's stages, in forward order; stages and blocks are counted from 1."""
    match architecture:
        case VggArchitecture():
            return tuple(_vgg_roles(architecture))
        case ResNetArchitecture():
            has_last_norm = architecture.normalization == "none" or architecture.preactivated
            return (*_block_roles(architecture), *(("last norm", "last activation") if has_last_norm else ()))
        case MobileNetArchitecture():
            return tuple(_block_roles(architecture))
        case DenseNetArchitecture():
            return tuple(_densenet_roles(architecture))
        case PluginArchitecture():
            raise ValueError("blocks of a plugin have no known roles")
        case _:
            assert_never(architecture)


def _vgg_roles(architecture: VggArchitecture) -> Iterator[str]:
    for stage, (depth, stride) in enumerate(zip(architecture.depths, architecture.stage_strides, strict=True), 1):
        if stride > 1:
            yield f"stage {stage} pooling"
        for block in range(1, depth + 1):
            yield f"stage {stage} block {block}"
            if architecture.squeeze_ratio > 0.0:
                yield f"stage {stage} block {block} squeeze"


def _block_roles(architecture: StridedBlockArchitecture) -> Iterator[str]:
    for stage, (depth, stride) in enumerate(zip(architecture.depths, architecture.stage_strides, strict=True), 1):
        if stride > 1 and architecture.downsampling == "average":
            yield f"stage {stage} pooling"
        for block in range(1, depth + 1):
            yield f"stage {stage} block {block}"


def _densenet_roles(architecture: DenseNetArchitecture) -> Iterator[str]:
    for stage, (depth, stride) in enumerate(zip(architecture.depths, architecture.stage_strides, strict=True), 1):
        if stage > 1:
            yield f"stage {stage} transition"
        elif stride > 1:
            yield f"stage {stage} pooling"
        for block in range(1, depth + 1):
            yield f"stage {stage} block {block}"
    yield "last norm"
    yield "last activation"


def _inverted_residual_role(inner: str, architecture: MobileNetArchitecture) -> str:
    """Replace the position inside an inverted residual, which shifts with optional layers, by the layer's purpose."""
    layers = [
        *(["expansion"] if architecture.expansion > 1 else []),
        "depthwise",
        *(["squeeze"] if architecture.squeeze_ratio > 0.0 else []),
        "projection",
    ]
    _, position, rest = inner.split(".", 2)
    return f"{layers[int(position)]}.{rest}"
