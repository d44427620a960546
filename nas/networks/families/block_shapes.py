"""Block shapes of the staged families."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nas.space.architecture import StagedArchitecture


@dataclass(frozen=True)
class BlockShape:
    """Input and output width of a block in channels, and its stride (1 or 2)."""

    in_width: int
    out_width: int
    stride: int


def block_shapes(architecture: StagedArchitecture) -> Iterator[BlockShape]:
    """Yield the shape of every block in forward order; the first block of each later stage has stride 2."""
    in_width = architecture.stem_width
    for stage, (depth, width) in enumerate(zip(architecture.depths, architecture.widths, strict=True)):
        for block in range(depth):
            yield BlockShape(in_width, width, stride=2 if stage > 0 and block == 0 else 1)
            in_width = width
