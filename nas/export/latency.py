"""Inference latency of a network."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nas.export.inference.exported_model import Logits, Pixels

BATCHES = (1, 64)
_WARM_UP_RUNS = 5
_MIN_RUNS, _MAX_RUNS = 10, 200
_TARGET_SECONDS, _MAX_SECONDS = 1.0, 10.0


@dataclass(frozen=True)
class Latency:
    """Milliseconds from pixels to logits.

    Attributes:
        batch: Batch size in images.
        runs: Number of timed runs.
    """

    batch: int
    median_ms: float
    p95_ms: float
    runs: int


def measure_latency(logits: Callable[[Pixels], Logits], images_NCHW: Pixels, batch: int) -> Latency:
    """Time a network for about one second on real images, which are repeated to fill the batch.

    A slow network is run ten times, or for ten seconds.
    """
    inputs_NCHW = np.ascontiguousarray(np.resize(images_NCHW, (batch, *images_NCHW.shape[1:])))
    _time_runs(logits, inputs_NCHW, min_runs=1, max_runs=_WARM_UP_RUNS)
    times = _time_runs(logits, inputs_NCHW, min_runs=_MIN_RUNS, max_runs=_MAX_RUNS)
    return Latency(batch, float(np.median(times)), float(np.percentile(times, 95)), len(times))


def _time_runs(logits: Callable[[Pixels], Logits], inputs_NCHW: Pixels, *, min_runs: int, max_runs: int) -> list[float]:
    """Return the milliseconds of each run, for as many runs as fit into a second, within the bounds."""
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < max_runs:
        elapsed = time.perf_counter() - start
        if elapsed > _MAX_SECONDS or (elapsed > _TARGET_SECONDS and len(times) >= min_runs):
            break
        run_start = time.perf_counter()
        logits(inputs_NCHW)
        times.append(1000 * (time.perf_counter() - run_start))
    return times
