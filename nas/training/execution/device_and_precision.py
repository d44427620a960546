"""Selection of device, numerical precision and CUDA graph capture."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from nas.errors import SettingsError

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Precisions of convolutions and matrix products by name; parameters and gradients are float32 in both."""


@dataclass(frozen=True)
class ComputeDevice:
    """Device, precision of convolutions and matrix products, and use of CUDA graphs.

    Attributes:
        cuda_graphs: True to capture training steps as CUDA graphs.
        measures_precision: True to select the precision of each training by timing its first steps; `precision` is then
            the one of everything else.
    """

    device: torch.device
    precision: torch.dtype
    cuda_graphs: bool = False
    measures_precision: bool = False

    @classmethod
    def choose(
        cls, device: str, precision: str, *, cuda_graphs: bool = True, deterministic: bool = False
    ) -> ComputeDevice:
        """Resolve `auto`: a GPU if there is one, and the precision that is measured to be faster.

        Where nothing may be timed, and on a GPU, the precision is bfloat16 if the device supports it natively.

        Args:
            cuda_graphs: True to capture training steps if the device is a GPU.
            deterministic: True to time nothing.

        Raises:
            SettingsError: The device does not exist, or does not compute in the precision.
        """
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        resolved = torch.device(device)
        if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
            raise SettingsError(f"NAS_DEVICE: no {device!r} here ({torch.cuda.device_count()} GPUs found); use 'cpu'")
        measures = precision == "auto" and resolved.type == "cpu" and not deterministic
        if precision == "auto":
            precision = "bfloat16" if _has_native_bfloat16(resolved) else "float32"
        elif precision == "bfloat16" and resolved.type == "cuda" and not torch.cuda.is_bf16_supported():
            raise SettingsError(
                f"training.precision = 'bfloat16': {torch.cuda.get_device_name(resolved)} does not compute in it; "
                "use 'float32' or 'auto'"
            )
        return cls(
            resolved, PRECISIONS[precision], cuda_graphs=cuda_graphs and resolved.type == "cuda",
            measures_precision=measures,
        )  # fmt: skip

    @property
    def precision_name(self) -> str:
        """Name of the precision: a key of `PRECISIONS`."""
        return str(self.precision).removeprefix("torch.")

    def with_precision(self, name: str) -> ComputeDevice:
        """Return the same device with another precision, which is not measured again."""
        return replace(self, precision=PRECISIONS[name], measures_precision=False)

    def without_cuda_graphs(self) -> ComputeDevice:
        """Return the same device with eager steps."""
        return replace(self, cuda_graphs=False)

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
        if self.device.type != "cuda":
            return f"{self.device.type}, {self.precision_name}, channels-last"
        steps = "captured steps" if self.cuda_graphs else "eager steps"
        return f"{torch.cuda.get_device_name(self.device)}, {self.precision_name}, channels-last, {steps}"

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
