"""How many trials a GPU is given at once, judged by its free memory before anything runs on it.

The figures are estimates and were not measured on a card. `nvidia-smi` is asked, since the supervisor has no torch.
"""

from __future__ import annotations

import subprocess

# A CUDA context with its libraries and a copy of the data take about 1 GiB, the baseline's activations up to 3.
_MIB_PER_TRIAL = 4096
# Each trial has a process of its own; without NVIDIA's MPS their kernels take turns, and more turns gain nothing.
_MOST_PER_GPU = 8
_QUERY = ("nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits")
_SECONDS = 20.0


def slots_per_gpu(num_gpus: int, num_cores: int) -> int:
    """Trials for each of these GPUs: as many as fit the fullest card, and no more in all than cores that feed them.

    One where nothing is known of the cards.
    """
    free_mib = _free_mib()
    if not free_mib:
        return 1
    return max(1, min(min(free_mib) // _MIB_PER_TRIAL, num_cores // num_gpus, _MOST_PER_GPU))


def _free_mib() -> list[int]:
    """Free memory of each GPU; empty where `nvidia-smi` is missing, hangs, or does not say."""
    try:
        answer = subprocess.run(_QUERY, capture_output=True, text=True, timeout=_SECONDS, check=True)
        return [int(line) for line in answer.stdout.splitlines()]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
