"""Stages of blocks of a plugin."""

from __future__ import annotations

from torch import nn

from nas.networks.families.block_shapes import block_shapes
from nas.space.architecture import PluginArchitecture
from nas.space.plugin_parts import loaded_block


def plugin_stages(architecture: PluginArchitecture) -> tuple[nn.Sequential, int]:
    """Create the stages after the stem, and return them with their output width.

    Raises:
        StudyError: The plugin is not loaded.
    """
    create = loaded_block(architecture.block)
    stages = nn.Sequential(
        *(create(shape.in_width, shape.out_width, shape.stride, architecture) for shape in block_shapes(architecture))
    )
    return stages, architecture.widths[-1]
