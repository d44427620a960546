"""Graph of a network's activations: each operation, the buffers it reads and the one that it writes.

The operations are those that PyTorch dispatches in a forward pass of one image on the meta device, where nothing is
computed. Views share the buffer of their base. An operation on single elements with one input (activation function,
batch normalisation) may write into the buffer of its input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_ELEMENTWISE = frozenset(
    (
        "relu", "relu_", "relu6", "hardswish", "hardswish_", "hardsigmoid", "hardsigmoid_", "hardtanh", "hardtanh_",
        "silu", "silu_", "gelu", "mish", "mish_", "elu", "elu_", "leaky_relu", "leaky_relu_", "sigmoid", "tanh",
        "clamp", "clamp_min", "native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit_no_training",
        "_batch_norm_no_update", "neg", "exp", "abs", "sqrt", "_to_copy", "clone",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Operation:
    """Operation of a graph.

    Attributes:
        name: Name of PyTorch's operator, without its namespace.
        inputs: Numbers of the buffers that it reads.
        output: Number of the buffer that it writes.
        is_elementwise: True if the output may take the place of the only input.
    """

    name: str
    inputs: tuple[int, ...]
    output: int
    is_elementwise: bool


@dataclass(frozen=True)
class ActivationGraph:
    """Operations in an order in which they can be executed.

    Attributes:
        elements: Number of elements of each buffer; buffer 0 is the image.
        operations: Operations that write a buffer of activations; each buffer is written by one.
        output: Buffer of the logits.
    """

    elements: tuple[int, ...]
    operations: tuple[Operation, ...]
    output: int


def trace_activations(network: nn.Module, image_1CHW: Tensor) -> ActivationGraph:
    """Return the graph of a network that is built on the meta device, in evaluation mode.

    Args:
        image_1CHW: One normalised image on the meta device.
    """
    recorder = _Recorder(network, image_1CHW)
    with torch.no_grad(), recorder:
        logits_1K = network(image_1CHW)
    return ActivationGraph(tuple(recorder.elements), tuple(recorder.operations), recorder.buffer_of(logits_1K))


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Dispatch mode that records operations on activations.

    Storages are compared by identity, so all tensors are kept alive: a freed storage may have a later one's address.
    """

    def __init__(self, network: nn.Module, image_1CHW: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._weights = {_storage(tensor) for tensor in (*network.parameters(), *network.buffers())}
        self._buffers: dict[int, int] = {}
        self._alive: list[Tensor] = []
        self.elements: list[int] = []
        self.operations: list[Operation] = []
        self._add_buffer(image_1CHW)

    def buffer_of(self, tensor: Tensor) -> int:
        """Return the number of a tensor's buffer."""
        return self._buffers[_storage(tensor)]

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        result = func(*args, **(kwargs or {}))
        leaves = [leaf for leaf in tree_leaves((args, kwargs or {})) if isinstance(leaf, Tensor)]
        inputs = tuple(dict.fromkeys(self._buffers[_storage(one)] for one in leaves if _storage(one) in self._buffers))
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor) and leaf.numel()]
        # Further results are statistics and indices, which inference does not need.
        if outputs and _storage(outputs[0]) not in self._buffers and _storage(outputs[0]) not in self._weights:
            self._record(func, inputs, outputs[0])
        self._alive += outputs
        return result

    def _record(self, func: Callable[..., Any], inputs: tuple[int, ...], output: Tensor) -> None:
        name = str(func).split(".")[1] if "." in str(func) else str(func)
        if not inputs:
            # Computed from weights alone: a constant of the deployed network.
            self._weights.add(_storage(output))
            return
        buffer = self._add_buffer(output)
        is_elementwise = name in _ELEMENTWISE and len(inputs) == 1
        is_elementwise = is_elementwise and self.elements[inputs[0]] >= self.elements[buffer]
        self.operations.append(Operation(name, inputs, buffer, is_elementwise))

    def _add_buffer(self, tensor: Tensor) -> int:
        self._alive.append(tensor)
        self._buffers[_storage(tensor)] = len(self.elements)
        self.elements.append(tensor.numel())
        return len(self.elements) - 1


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
