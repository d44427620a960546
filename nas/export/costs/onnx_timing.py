"""Timing of ONNX files with ONNX Runtime on one thread. Does not import torch."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nas.export.inference.exported_model import Logits, Pixels

LATENCY_SECONDS = 0.5
_WARM_UP_RUNS = 3
_MIN_RUNS, _MAX_RUNS = 10, 500


def one_thread_session(path: Path) -> Callable[[Pixels], Logits]:
    """Return the inference function of an ONNX file with one input and one output, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (model_input,) = session.get_inputs()

    def run(images_NCHW: Pixels) -> Logits:
        logits_NK: Logits = session.run(None, {model_input.name: images_NCHW})[0]
        return logits_NK

    return run


def file_latency_ms(path: Path, images_NCHW: Pixels, batch: int, seconds: float = LATENCY_SECONDS) -> float:
    """Return the milliseconds of an ONNX file for a batch, for which the images are repeated."""
    inputs_NCHW = np.ascontiguousarray(np.resize(images_NCHW, (batch, *images_NCHW.shape[1:])))
    run = one_thread_session(path)
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
