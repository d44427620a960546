"""Trying an exported file where nothing of this program's network is left: in a process of its own.

Array dimensions: N images, C channels, H and W pixels, K classes. This module is imported by that process and does not
import torch, which an ONNX file has no use for.
"""

from __future__ import annotations

import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.errors import ModelFileError
from nas.export.inference.exported_model import Logits, Pixels, open_model
from nas.export.latency import BATCHES, Latency, measure_latency

TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class ReferenceOutputs:
    """What the eager network says.

    Attributes:
        images: Real ones, uint8 [N, C, H, W], at least one.
        logits: Of all of them at once, [N, K].
        alone: Of the first one alone, [1, K], for which another order of arithmetic may be the fastest.
    """

    images: Pixels
    logits: Logits
    alone: Logits


@dataclass(frozen=True)
class VerificationResult:
    """What the check of an exported file found.

    Attributes:
        largest_difference: Between its logits and the eager network's, over the images.
        share_alike: Images of which both say the same class.
        num_images: Real images that were compared.
    """

    largest_difference: float
    share_alike: float
    num_images: int
    latencies: tuple[Latency, ...]

    def require_equal(self, path: Path) -> None:
        """Refuse a file that is not the network.

        Raises:
            ModelFileError: A logit differs by 1e-4 or more, or an image has another class.
        """
        if not self.largest_difference < TOLERANCE:  # NaN is no agreement.
            raise ModelFileError(
                f"{path}: the exported network's logits differ from the original's by {self.largest_difference:.2e}; "
                "not written"
            )
        if self.share_alike < 1.0:
            raise ModelFileError(
                f"{path}: the exported network says another class than the original of {1 - self.share_alike:.1%} of "
                "the images; not written"
            )


def verify(path: Path, expected: ReferenceOutputs) -> VerificationResult:
    """Open a file in a fresh process, run it on real images, all at once and one alone, and time it.

    Raises:
        ModelFileError: The file cannot be opened or run.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        try:
            logits_NK, alone_1K, latencies = pool.submit(_run, path, expected.images).result()
        except BrokenProcessPool as error:
            raise ModelFileError(f"{path}: the process that ran the exported network died") from error
    differences = [np.abs(logits_NK - expected.logits).max(), np.abs(alone_1K - expected.alone).max()]
    return VerificationResult(
        # numpy's maximum keeps a NaN, Python's may lose it.
        largest_difference=float(np.max(differences)),
        share_alike=float((logits_NK.argmax(1) == expected.logits.argmax(1)).mean()),
        num_images=len(expected.images),
        latencies=latencies,
    )


def _run(path: Path, images_NCHW: Pixels) -> tuple[Logits, Logits, tuple[Latency, ...]]:
    """In the fresh process, on one thread: logits of all images, of the first alone, and how long it took."""
    warnings.simplefilter("ignore")
    model = open_model(path, threads=1)
    _take_one_thread()
    latencies = tuple(measure_latency(model.logits, images_NCHW, batch) for batch in BATCHES)
    return model.logits(images_NCHW), model.logits(images_NCHW[:1]), latencies


def _take_one_thread() -> None:
    """Of PyTorch, if the file needed it."""
    import sys

    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)
