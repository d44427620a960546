"""CUDA graph capture of the training step: hundreds of kernels launched by one call of the host.

A graph replays the captured step: the same kernels on the same memory, with the same host values. Values that change
between steps (batch indices, learning rates, the decay of the weight average) are therefore kept in tensors that are
written before each replay, and random numbers come from generators that are registered with the graph.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nas.data.sampling.samplers import Draws
from nas.errors import NasError

NUM_WARM_UP_STEPS = 3


class CaptureError(NasError):
    """Raised when a step cannot be captured."""


class CapturedStep:
    """Training step for one batch size, captured at its fourth call.

    The first three calls run eagerly and count as normal steps. During them, libraries select algorithms and allocate
    workspaces, and the optimiser allocates its state; a capture allows none of this. Capturing executes nothing.

    Args:
        step: Returns the loss; it must run on `stream` at every call.
        generator: Generator of the random numbers in the step that do not come from torch's default generator.
        stream: Stream of all calls; not the default stream.
    """

    def __init__(self, step: Callable[[Draws], Tensor], generator: torch.Generator, stream: torch.cuda.Stream) -> None:
        self._step = step
        self._generator = generator
        self._stream = stream
        self._num_warm_ups = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    @property
    def is_captured(self) -> bool:
        return self._graph is not None

    def __call__(self, draws: Draws) -> Tensor:
        """Run the step; the next call overwrites the returned loss."""
        if self._num_warm_ups < NUM_WARM_UP_STEPS:
            self._num_warm_ups += 1
            return self._step(draws)
        if self._graph is None:
            self._inputs = draws.clone()
            self._graph = self._capture()
        self._inputs.copy_(draws)
        self._graph.replay()
        return self._loss

    def _capture(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                self._loss = self._step(self._inputs)
        except RuntimeError as error:
            raise _capture_error(error) from error
        return graph


def _capture_error(error: RuntimeError) -> Exception:
    """Error for a failed capture: the out-of-memory error that caused it, or a `CaptureError`."""
    # Ending a failed capture raises as well; the cause is in the chain of contexts.
    cause: BaseException = error
    while cause.__context__ is not None and not isinstance(cause, torch.OutOfMemoryError):
        cause = cause.__context__
    if isinstance(cause, torch.OutOfMemoryError):
        return cause
    return CaptureError(f"the training step could not be captured as a CUDA graph ({str(cause).splitlines()[0]})")
