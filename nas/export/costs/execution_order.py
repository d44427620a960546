"""Order of a graph's operations with the lowest peak of memory.

Sources: Lin et al., "MCUNet: Tiny Deep Learning on IoT Devices", 2020, for the peak over a graph of activations; Ahn
et al., "Ordering Chaos: Memory-Aware Scheduling of Irregularly Wired Neural Networks for Edge Devices", 2020, for the
search over sets of executed operations.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import count
from typing import Any

from nas.export.costs.activation_graph import ActivationGraph

_MAX_STATES = 50_000


@dataclass(frozen=True)
class Schedule:
    """Order of execution.

    Attributes:
        peak_elements: Most elements that are kept at once.
        order: Indices of the operations.
        is_optimal: False if the search was cut off, and the order is that of PyTorch's forward pass.
    """

    peak_elements: int
    order: tuple[int, ...]
    is_optimal: bool = True


class _Memory:
    """Elements kept before, during and after an operation, for sets of executed operations as bit masks."""

    def __init__(self, graph: ActivationGraph) -> None:
        self.graph = graph
        self.all = (1 << len(graph.operations)) - 1
        self.readers = [0] * len(graph.elements)
        producer = {operation.output: index for index, operation in enumerate(graph.operations)}
        for index, operation in enumerate(graph.operations):
            for buffer in operation.inputs:
                self.readers[buffer] |= 1 << index
        self.before = [
            sum(1 << producer[buffer] for buffer in operation.inputs if buffer in producer)
            for operation in graph.operations
        ]

    def is_last_reader(self, executed: int, index: int, buffer: int) -> bool:
        """Return True if no other operation still needs a buffer."""
        return buffer != self.graph.output and not self.readers[buffer] & ~executed & ~(1 << index)

    def step(self, executed: int, index: int) -> tuple[int, int]:
        """Return the further elements that an operation needs while it runs, and those that are kept after it."""
        operation, elements = self.graph.operations[index], self.graph.elements
        size = elements[operation.output]
        freed = sum(elements[one] for one in operation.inputs if self.is_last_reader(executed, index, one))
        in_place = operation.is_elementwise and freed > 0
        # A result that nothing reads is dropped at once.
        kept = size if self.readers[operation.output] or operation.output == self.graph.output else 0
        return (0 if in_place else size), kept - freed


def best_schedule(graph: ActivationGraph) -> Schedule:
    """Return an order of the operations with the lowest peak.

    States are sets of executed operations, and the state with the lowest peak is extended first. An operation that
    needs no more than the peak so far, and leaves no more than there was, is executed at once: to execute it later
    cannot lower the peak. So chains are followed without a choice.
    """
    memory = _Memory(graph)
    ticket = count()
    start = graph.elements[0]
    # (peak, -number executed, ticket, executed, kept, order as linked pairs)
    heap: list[tuple[int, int, int, int, int, object]] = [(start, 0, next(ticket), 0, start, None)]
    seen: set[int] = set()
    while heap and len(seen) < _MAX_STATES:
        peak, _, _, executed, kept, order = heapq.heappop(heap)
        peak, executed, kept, order = _follow_free_operations(memory, peak, executed, kept, order)
        if executed == memory.all:
            return Schedule(peak, _unlinked(order))
        if executed in seen:
            continue
        seen.add(executed)
        for index in _ready(memory, executed):
            further, change = memory.step(executed, index)
            done = executed | 1 << index
            state = (max(peak, kept + further), -done.bit_count(), next(ticket), done, kept + change, (index, order))
            heapq.heappush(heap, state)
    order_of_pytorch = tuple(range(len(graph.operations)))
    return Schedule(peak_of(graph, order_of_pytorch), order_of_pytorch, is_optimal=False)


def peak_of(graph: ActivationGraph, order: tuple[int, ...]) -> int:
    """Return the most elements that are kept at once in an order of execution."""
    memory, executed = _Memory(graph), 0
    kept = peak = graph.elements[0]
    for index in order:
        further, change = memory.step(executed, index)
        peak, kept, executed = max(peak, kept + further), kept + change, executed | 1 << index
    return peak


def _ready(memory: _Memory, executed: int) -> list[int]:
    return [
        index
        for index, before in enumerate(memory.before)
        if not executed >> index & 1 and not before & ~executed
    ]  # fmt: skip


def _follow_free_operations(
    memory: _Memory, peak: int, executed: int, kept: int, order: object
) -> tuple[int, int, int, object]:
    """Execute all operations that need no more than the peak so far and leave no more than there was."""
    while True:
        for index in _ready(memory, executed):
            further, change = memory.step(executed, index)
            if change <= 0 and kept + further <= peak:
                executed, kept, order = executed | 1 << index, kept + change, (index, order)
                break
        else:
            return peak, executed, kept, order


def _unlinked(order: Any) -> tuple[int, ...]:
    indices: list[int] = []
    while order is not None:
        index, order = order
        indices.append(index)
    return tuple(reversed(indices))
