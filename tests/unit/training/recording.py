"""What a step asks of its device, operation by operation: what a CUDA graph would replay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_NEEDS_VALUES = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
# Untagged, and yet none can be captured: the first copies from the host, the second looks at its probabilities.
_FORBIDDEN = {"aten::lift_fresh", "aten::multinomial", "aten::_local_scalar_dense", "aten::_linalg_eigh"}
_INDEXING = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_unsafe_index_put"}


class NotCapturableError(Exception):
    pass


class Recording(TorchDispatchMode):
    """Notes each operation with its numbers, shapes and the memory it reads, and refuses what no graph can hold.

    Attributes:
        operations: In order. Two steps for which they are equal are one graph: replayed, the first does the second.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.operations: list[tuple[Any, ...]] = []
        self._device = device
        # Kept, so that no two of them are taken for one.
        self._made: dict[int, Any] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = function.name().partition(".")[0]
        if name.startswith("profiler::"):
            return function(*args, **kwargs)
        leaves = tree_leaves((args, kwargs))
        if name in _INDEXING:
            # Its output depends on values where it is indexed by a mask, and not by numbers.
            if any(isinstance(leaf, Tensor) and leaf.dtype is torch.bool for leaf in tree_leaves(args[1])):
                raise NotCapturableError(f"{function} counts what a mask holds")
        elif name in _FORBIDDEN or _NEEDS_VALUES & set(function.tags):
            raise NotCapturableError(f"{function} waits for the device")
        self.operations.append((str(function), *map(self._noted, leaves)))
        result = function(*args, **kwargs)
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._check_device(leaf, function)
                storage = leaf.untyped_storage()
                self._made.setdefault(storage._cdata, (len(self._made), storage))
        for leaf in leaves:
            if isinstance(leaf, Tensor):
                self._check_device(leaf, function)
        return result

    def _check_device(self, tensor: Tensor, function: Any) -> None:
        if tensor.device.type != self._device.type:
            raise NotCapturableError(f"{function} has to do with {tensor.device}")

    def _noted(self, leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        place = leaf.untyped_storage()._cdata
        made = self._made.get(place)
        memory = ("outside", place) if made is None else ("inside", made[0])
        return (*memory, tuple(leaf.shape), tuple(leaf.stride()), leaf.storage_offset(), leaf.dtype)


def recorded(device: torch.device, step: Callable[[], object]) -> list[tuple[Any, ...]]:
    """The operations of a step.

    Raises:
        NotCapturableError: One of them cannot be captured.
    """
    with Recording(device) as recording:
        step()
    return recording.operations
