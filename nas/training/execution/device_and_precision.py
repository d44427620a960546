"""Selection of device, numerical precision and CUDA graph capture."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import torch

from nas.errors import SettingsError


@dataclass(frozen=True)
class ComputeDevice:
    """Device, precision of convolutions and matrix products, and use of CUDA graphs.

    Attributes:
        cuda_graphs: True to capture training steps as CUDA graphs.
    """

    device: torch.device
    precision: torch.dtype
    cuda_graphs: bool = False

    @classmethod
    def choose(cls, device: str, precision: str, *, cuda_graphs: bool = True) -> ComputeDevice:
        """Resolve `auto` to a GPU if there is one, and to bfloat16 if the device supports it natively.

        Args:
            cuda_graphs: True to capture training steps if the device is a GPU.

        Raises:
            SettingsError: The device does not exist.
        """
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        resolved = torch.device(device)
        if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
            raise SettingsError(f"NAS_DEVICE: no {device!r} here ({torch.cuda.device_count()} GPUs found); use 'cpu'")
        if precision == "auto":
            precision = "bfloat16" if _has_native_bfloat16(resolved) else "float32"
        dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        return cls(resolved, dtype, cuda_graphs=cuda_graphs and resolved.type == "cuda")

    def autocast(self) -> AbstractContextManager[object]:
        """Mixed-precision context for a forward pass; no effect in float32.

        Weights are cast once per pass, at their first use, and the casts are discarded at its end. A capture must begin
        before the pass: the casts are then part of the graph and read the current weights at every step.
        """
        if self.precision is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.precision)

    def describe(self) -> str:
        """Description of device and precision for records."""
        precision = str(self.precision).removeprefix("torch.")
        if self.device.type != "cuda":
            return f"{self.device.type}, {precision}"
        steps = "captured steps" if self.cuda_graphs else "eager steps"
        return f"{torch.cuda.get_device_name(self.device)}, {precision}, {steps}"

    @cached_property
    def stream(self) -> torch.cuda.Stream:
        """Stream of captured steps; one per process, because every new stream allocates its own workspaces."""
        return torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]

    @contextmanager
    def stream_context(self) -> Iterator[None]:
        """Make the capture stream current; a GPU's default stream cannot be captured."""
        if not self.cuda_graphs:
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
    """Make this process deterministic: one thread, and deterministic algorithms only.

    Args:
        device: On a GPU, operations without a deterministic algorithm warn instead of failing.
    """
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # Read by cuBLAS at its first use.
    torch.set_num_threads(1)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")


def _has_native_bfloat16(device: torch.device) -> bool:
    """Return True if bfloat16 is native; emulated bfloat16 is slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
