"""How long a network takes to answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nas.export.model_file import Logits, Pixels

BATCHES = (1, 64)
_WARM_UP = 5
_FEWEST_RUNS, _MOST_RUNS = 10, 200
_SECONDS = 1.0


@dataclass(frozen=True)
class Latency:
    """Milliseconds from pixels to logits.

    Attributes:
        batch: Images at once.
        runs: How often it was measured.
    """

    batch: int
    median_ms: float
    p95_ms: float
    runs: int


def measure_latency(logits: Callable[[Pixels], Logits], images_NCHW: Pixels, batch: int) -> Latency:
    """Run a network for about a second on real images, repeated where there are fewer than the batch takes."""
    inputs_NCHW = np.ascontiguousarray(np.resize(images_NCHW, (batch, *images_NCHW.shape[1:])))
    for _ in range(_WARM_UP):
        logits(inputs_NCHW)
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < _MOST_RUNS and (len(times) < _FEWEST_RUNS or time.perf_counter() - begin < _SECONDS):
        before = time.perf_counter()
        logits(inputs_NCHW)
        times.append(1000 * (time.perf_counter() - before))
    return Latency(batch, float(np.median(times)), float(np.percentile(times, 95)), len(times))
