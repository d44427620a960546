"""Timing of ONNX files with ONNX Runtime on one thread.

Imports nothing of this package, since it is also run on machines that have ONNX Runtime alone (`latency_program`).

Array dimensions: N images, C channels, H and W pixels, K classes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

LATENCY_SECONDS = 0.5
_WARM_UP_RUNS = 3
_MIN_RUNS, _MAX_RUNS = 10, 500


def one_thread_session(model: Path | bytes) -> Callable[[Any], Any]:
    """Return the inference function of an ONNX file with one input and one output, on one thread.

    Args:
        model: The file, or its content.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    content = model if isinstance(model, bytes) else str(model)
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (model_input,) = session.get_inputs()

    def run(images_NCHW: Any) -> Any:
        return session.run(None, {model_input.name: images_NCHW})[0]

    return run


def file_latency_ms(model: Path | bytes, images_NCHW: Any, batch: int, seconds: float = LATENCY_SECONDS) -> float:
    """Return the milliseconds of an ONNX file for a batch, for which the images are repeated."""
    inputs_NCHW = np.ascontiguousarray(np.resize(images_NCHW, (batch, *images_NCHW.shape[1:])))
    run = one_thread_session(model)
    return fastest_ms(lambda: run(inputs_NCHW), seconds)


def fastest_ms(call: Callable[[], object], seconds: float, clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the milliseconds of the fastest of the runs that fit into a time, of at least ten.

    Other processes only ever make a run slower, so that the fastest is the least disturbed.
    """
    for _ in range(_WARM_UP_RUNS):
        call()
    times: list[float] = []
    start = clock()
    while len(times) < _MIN_RUNS or (len(times) < _MAX_RUNS and clock() - start < seconds):
        began = clock()
        call()
        times.append(1000 * (clock() - began))
    return min(times)
