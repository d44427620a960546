"""Recording of the device operations of a step, which a CUDA graph would replay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_NEEDS_VALUES = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
# Not tagged, but impossible to capture: the first copies from the host, the second reads its probabilities.
_FORBIDDEN = {"aten::lift_fresh", "aten::multinomial", "aten::_local_scalar_dense", "aten::_linalg_eigh"}
_INDEXING = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_unsafe_index_put"}


class NotCapturableError(Exception):
    pass


class Recording(TorchDispatchMode):
    """Record each operation with its numbers, shapes and memory, and raise for operations that no graph supports.

    Attributes:
        operations: Operations in order. Two steps with equal operations can share one graph.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.operations: list[tuple[Any, ...]] = []
        self._device = device
        # Storages are kept alive, so that no address is reused.
        self._storages: dict[int, Any] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = function.name().partition(".")[0]
        if name.startswith("profiler::"):
            return function(*args, **kwargs)
        leaves = tree_leaves((args, kwargs))
        if name in _INDEXING:
            # Indexing by a mask, unlike indexing by numbers, has an output shape that depends on values.
            if any(isinstance(leaf, Tensor) and leaf.dtype is torch.bool for leaf in tree_leaves(args[1])):
                raise NotCapturableError(f"{function} counts the values of a mask")
        elif name in _FORBIDDEN or _NEEDS_VALUES & set(function.tags):
            raise NotCapturableError(f"{function} waits for the device")
        self.operations.append((str(function), *map(self._describe, leaves)))
        result = function(*args, **kwargs)
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._check_device(leaf, function)
                storage = leaf.untyped_storage()
                self._storages.setdefault(storage._cdata, (len(self._storages), storage))
        for leaf in leaves:
            if isinstance(leaf, Tensor):
                self._check_device(leaf, function)
        return result

    def _check_device(self, tensor: Tensor, function: Any) -> None:
        if tensor.device.type != self._device.type:
            raise NotCapturableError(f"{function} uses {tensor.device}")

    def _describe(self, leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        address = leaf.untyped_storage()._cdata
        known = self._storages.get(address)
        memory = ("outside", address) if known is None else ("inside", known[0])
        return (*memory, tuple(leaf.shape), tuple(leaf.stride()), leaf.storage_offset(), leaf.dtype)


def record_operations(device: torch.device, step: Callable[[], object]) -> list[tuple[Any, ...]]:
    """Record the operations of a step.

    Raises:
        NotCapturableError: One of them cannot be captured.
    """
    with Recording(device) as recording:
        step()
    return recording.operations
