"""Number of concurrent trials per GPU, from its free memory before anything runs on it.

The memory per trial is an estimate that was not measured on a card. `nvidia-smi` is used, since the supervisor has
no torch.
"""

from __future__ import annotations

import subprocess

# A CUDA context with its libraries and a copy of the data take about 1 GiB, the baseline's activations up to 3.
_MIB_PER_TRIAL = 4096
# Each trial has its own process; without NVIDIA's MPS their kernels alternate, and more processes gain nothing.
_MAX_TRIALS_PER_GPU = 8
_QUERY = ("nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits")
_QUERY_TIMEOUT_SECONDS = 20.0


def slots_per_gpu(num_gpus: int, num_cores: int) -> int:
    """Return the trials per GPU: as many as fit the card with the least free memory, in total at most one per core.

    Return 1 if the free memory is unknown.
    """
    free_mib = _free_mib()
    if not free_mib:
        return 1
    return max(1, min(min(free_mib) // _MIB_PER_TRIAL, num_cores // num_gpus, _MAX_TRIALS_PER_GPU))


def _free_mib() -> list[int]:
    """Return the free memory of each GPU in MiB; empty if `nvidia-smi` is missing, hangs or prints no numbers."""
    try:
        output = subprocess.run(_QUERY, capture_output=True, text=True, timeout=_QUERY_TIMEOUT_SECONDS, check=True)
        return [int(line) for line in output.stdout.splitlines()]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
