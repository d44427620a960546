"""Where and with what arithmetic to train."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from nas.errors import SettingsError


@dataclass(frozen=True)
class Compute:
    """A device and the precision of its convolutions and matrix products."""

    device: torch.device
    precision: torch.dtype

    @classmethod
    def choose(cls, device: str, precision: str) -> Compute:
        """Resolve `auto`: a GPU where there is one; bfloat16 where the device computes in it.

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
        return cls(chosen, torch.bfloat16 if precision == "bfloat16" else torch.float32)

    def autocast(self) -> AbstractContextManager[object]:
        """Mixed precision for a forward pass; nothing in float32."""
        if self.precision is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.precision)

    def describe(self) -> str:
        """For the record: the device's name and the precision."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        return f"{name}, {str(self.precision).removeprefix('torch.')}"


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
