"""A training step captured as a CUDA graph: hundreds of kernels that the host starts with one call.

What a graph replays is what the step did while it was captured: the same kernels on the same memory, with the same
numbers from the host. So whatever changes between steps (draws, rates, the average's decay) lies in tensors that are
written before each replay, and random numbers come from generators that the graph knows of.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nas.data.sampling.class_balanced_sampling import Draws
from nas.errors import NasError

NUM_WARM_UP_STEPS = 3


class CaptureError(NasError):
    """A step could not be captured."""


class CapturedStep:
    """A step for batches of one size, which does what the step does, and is captured at its fourth call.

    The first three run as they are and count like all others: in them libraries choose their algorithms and allocate
    workspaces, and the optimiser its state, none of which may happen in a capture. Capturing runs nothing.

    Args:
        step: Gives the loss; it must be called on the same stream each time, and not the default one.
        generator: Of the draws within the step that are not torch's own.
        stream: That stream.
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
        """Take the step; the loss it returns is overwritten by the next."""
        if self._num_warm_ups < NUM_WARM_UP_STEPS:
            self._num_warm_ups += 1
            return self._step(draws)
        if self._graph is None:
            self._inputs = draws.clone()
            self._graph = self._captured()
        self._inputs.copy_(draws)
        self._graph.replay()
        return self._loss

    def _captured(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        try:
            with torch.cuda.graph(graph, stream=self._stream):
                self._loss = self._step(self._inputs)
        except RuntimeError as error:
            raise _explained(error) from error
        return graph


def _explained(error: RuntimeError) -> Exception:
    """Why a capture failed: for want of memory, or since something in the step cannot be captured."""
    # Ending a capture that failed fails too, and that is what is raised; the cause is its context.
    cause: BaseException = error
    while cause.__context__ is not None and not isinstance(cause, torch.OutOfMemoryError):
        cause = cause.__context__
    if isinstance(cause, torch.OutOfMemoryError):
        return cause
    return CaptureError(
        f"the training step could not be captured as a CUDA graph ({str(cause).splitlines()[0]}); "
        "set NAS_CUDA_GRAPHS=off to train without"
    )
