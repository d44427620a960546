"""Slices of parameters: the part of a largest network's parameter that a smaller network of its family uses.

The first channels of the largest network are those of every smaller one (Yu & Huang, "Universally Slimmable Networks",
2019), and a smaller kernel is the middle of a larger one, changed by a learned matrix (Cai et al., "Once-for-All",
2020, section 3). A dense network's layers take concatenated channels; a smaller one has the first of each part.

Dimensions: O output and I input channels, P values of a kernel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from nas.space.architecture import DenseNetArchitecture, SearchedArchitecture

# A convolution's bias has its output channels.
_INPUTS = r"(normalization\.(weight|bias)|convolution\.kernel\.weight)$"
_DENSE_BLOCK = re.compile(rf"stage (\d+) block (\d+)\.layers\.0\.{_INPUTS}")
_TRANSITION = re.compile(rf"stage (\d+) transition\.0\.{_INPUTS}")


@dataclass(frozen=True)
class DenseChannels:
    """Positions of a dense network's channels among those of the largest network of its space."""

    architecture: DenseNetArchitecture
    largest: DenseNetArchitecture

    def inputs(self, role: str) -> list[int] | None:
        """Positions of the input channels of a layer; None for a layer that takes no concatenated channels."""
        if match := _DENSE_BLOCK.match(role):
            return self._concatenated(int(match[1]), int(match[2]) - 1)
        if match := _TRANSITION.match(role):
            stage = int(match[1]) - 1
            return self._concatenated(stage, self.architecture.depths[stage - 1])
        first_linear = "head.2" if self.architecture.head_widths else "classifier"
        if role.startswith("last norm.") or role == f"{first_linear}.weight":
            stage = len(self.architecture.depths)
            return self._concatenated(stage, self.architecture.depths[-1])
        return None

    def _concatenated(self, stage: int, num_blocks: int) -> list[int]:
        """Channels before a block: the stage's input, and the growth of the blocks so far."""
        inputs, largest_inputs = (stage_inputs(one)[stage - 1] for one in (self.architecture, self.largest))
        growth, largest_growth = self.architecture.growth_rate, self.largest.growth_rate
        starts = range(largest_inputs, largest_inputs + num_blocks * largest_growth, largest_growth)
        return [*range(inputs), *(start + channel for start in starts for channel in range(growth))]


def stage_inputs(architecture: DenseNetArchitecture) -> list[int]:
    """Number of channels that enter the first block of each stage."""
    growths = [depth * architecture.growth_rate for depth in architecture.depths[:-1]]
    return list(
        accumulate(
            growths, lambda width, growth: max(1, int((width + growth) * architecture.compression)),
            initial=architecture.stem_width,
        )
    )  # fmt: skip


def input_channels(architecture: SearchedArchitecture, largest: SearchedArchitecture) -> DenseChannels | None:
    """Return the positions of concatenated channels; None for a family whose channels are the first ones."""
    if isinstance(architecture, DenseNetArchitecture) and isinstance(largest, DenseNetArchitecture):
        return DenseChannels(architecture, largest)
    return None


@dataclass(frozen=True)
class ParameterSlice:
    """Slice of a parameter of the largest network.

    Attributes:
        shared: The parameter, of any shape with the dimensions of `shape`: O, I and kernel rows and columns.
        shape: Shape of the slice.
        positions: Input channels of the slice, in dimension I or, for a vector, its only one; None for the first ones.
        transform: Matrix of a smaller kernel, [P, P]; None for a kernel of the same size.
    """

    shared: Tensor
    shape: torch.Size
    positions: Tensor | None = None
    transform: Tensor | None = None

    @classmethod
    def of(
        cls, shared: Tensor, shape: torch.Size, positions: Sequence[int] | None, transforms: Mapping[str, Tensor]
    ) -> ParameterSlice:
        """Return the slice of a shape.

        Args:
            transforms: Matrix of each smaller kernel, by `kernel_name`.
        """
        chosen = None
        if positions is not None and len(positions) < shared.shape[min(1, shared.ndim - 1)]:
            chosen = torch.tensor(positions, device=shared.device)
        return cls(shared, shape, chosen, transforms.get(kernel_name(shape)) if len(shape) > 2 else None)

    def __call__(self) -> Tensor:
        """Return the weights, through which gradients flow to the shared parameter."""
        weights = self.shared
        if self.positions is not None:
            weights = weights.index_select(min(1, weights.ndim - 1), self.positions)
        for dim, size in enumerate(self.shape):
            spare = weights.shape[dim] - size
            if spare > 0:
                weights = weights.narrow(dim, spare // 2 if dim > 1 else 0, size)
        if self.transform is not None:
            weights = (weights.flatten(2) @ self.transform).reshape(weights.shape)
        return weights


def kernel_name(shape: torch.Size) -> str:
    """Name of a kernel's size, such as 3x3."""
    return "x".join(str(side) for side in shape[2:])
