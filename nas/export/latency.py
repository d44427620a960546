"""How long a network takes to answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nas.export.inference.exported_model import Logits, Pixels

BATCHES = (1, 64)
_WARM_UP = 5
_FEWEST_RUNS, _MOST_RUNS = 10, 200
_SECONDS, _MOST_SECONDS = 1.0, 10.0


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
    """Run a network for about a second on real images, repeated where there are fewer than the batch takes.

    One that takes long is run ten times, or for ten seconds.
    """
    inputs_NCHW = np.ascontiguousarray(np.resize(images_NCHW, (batch, *images_NCHW.shape[1:])))
    _timed(logits, inputs_NCHW, fewest=1, most=_WARM_UP)
    times = _timed(logits, inputs_NCHW, fewest=_FEWEST_RUNS, most=_MOST_RUNS)
    return Latency(batch, float(np.median(times)), float(np.percentile(times, 95)), len(times))


def _timed(logits: Callable[[Pixels], Logits], inputs_NCHW: Pixels, *, fewest: int, most: int) -> list[float]:
    """Milliseconds of each run: as many as a second takes, within bounds."""
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < most:
        spent = time.perf_counter() - begin
        if spent > _MOST_SECONDS or (spent > _SECONDS and len(times) >= fewest):
            break
        before = time.perf_counter()
        logits(inputs_NCHW)
        times.append(1000 * (time.perf_counter() - before))
    return times
