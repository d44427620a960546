"""Where and with what arithmetic to train."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import torch

from nas.errors import SettingsError


@dataclass(frozen=True)
class Compute:
    """A device, the precision of its convolutions and matrix products, and how its work is queued.

    Attributes:
        captures: Whether training steps are captured as CUDA graphs.
    """

    device: torch.device
    precision: torch.dtype
    captures: bool = False

    @classmethod
    def choose(cls, device: str, precision: str, *, cuda_graphs: bool = True) -> Compute:
        """Resolve `auto`: a GPU where there is one; bfloat16 where the device computes in it.

        Args:
            cuda_graphs: Whether a GPU is to capture training steps.

        Raises:
            SettingsError: The device named is not there.
        """
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        chosen = torch.device(device)
        if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
            raise SettingsError(f"NAS_DEVICE: no {device!r} here ({torch.cuda.device_count()} GPUs found); use 'cpu'")
        if precision == "auto":
            precision = "bfloat16" if _computes_in_bfloat16(chosen) else "float32"
        chosen_precision = torch.bfloat16 if precision == "bfloat16" else torch.float32
        return cls(chosen, chosen_precision, captures=cuda_graphs and chosen.type == "cuda")

    def autocast(self) -> AbstractContextManager[object]:
        """Mixed precision for a forward pass; nothing in float32.

        Weights are cast once in each pass, when they are first used, and forgotten at its end. So a capture must begin
        before the pass does: then the casts are part of the graph and read the weights of each step anew.
        """
        if self.precision is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.precision)

    def describe(self) -> str:
        """For the record: the device's name and the precision."""
        precision = str(self.precision).removeprefix("torch.")
        if self.device.type != "cuda":
            return f"{self.device.type}, {precision}"
        steps = "captured steps" if self.captures else "eager steps"
        return f"{torch.cuda.get_device_name(self.device)}, {precision}, {steps}"

    @cached_property
    def stream(self) -> torch.cuda.Stream:
        """The one on which steps are captured; one for a process, for each new one gets workspaces of its own."""
        return torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]

    @contextmanager
    def queueing(self) -> Iterator[None]:
        """What is queued within can be captured, which nothing on a GPU's default stream can."""
        if not self.captures:
            yield
            return
        outside = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(outside)
        try:
            with torch.cuda.stream(self.stream):
                yield
        finally:
            outside.wait_stream(self.stream)


def make_deterministic(device: torch.device) -> None:
    """Have this process compute the same from the same: one thread, and no algorithm whose order is left to chance.

    Args:
        device: On a GPU, operations that have no such algorithm warn.
    """
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # Read by the library when it is first used.
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")


def _computes_in_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is native; emulated, it is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
