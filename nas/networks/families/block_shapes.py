"""Blocks of the staged families: their shapes, and their stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from torch import nn

from nas.networks.layers.average_pooling import average_pooling
from nas.space.convolutional_architecture import StagedArchitecture, StridedBlockArchitecture


@dataclass(frozen=True)
class BlockShape:
    """Input and output width of a block in channels, and its stride (1 or 2)."""

    in_width: int
    out_width: int
    stride: int


def block_shapes(architecture: StagedArchitecture) -> Iterator[BlockShape]:
    """Yield the shape of every block in forward order; the first block of a stage has the stage's stride."""
    in_width = architecture.stem_width
    stages = zip(architecture.depths, architecture.widths, architecture.stage_strides, strict=True)
    for depth, width, stride in stages:
        for block in range(depth):
            yield BlockShape(in_width, width, stride=stride if block == 0 else 1)
            in_width = width


def create_blocks(
    architecture: StridedBlockArchitecture, create_block: Callable[[BlockShape], nn.Module]
) -> nn.Sequential:
    """Create the blocks of all stages, and the poolings that replace strides with average downsampling.

    A pooling is in front of the whole block, so that no branch of it computes maps of the larger size, and a block of
    equal widths keeps its skip.
    """
    blocks = nn.Sequential()
    for shape in block_shapes(architecture):
        if shape.stride > 1 and architecture.downsampling == "average":
            blocks.append(average_pooling(shape.stride))
            shape = replace(shape, stride=1)
        blocks.append(create_block(shape))
    return blocks
