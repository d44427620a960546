"""Verification of an exported file in a fresh process, independent of the network in memory.

Array dimensions: N images, C channels, H and W pixels, K classes. The fresh process imports this module, which
therefore does not import torch: ONNX files do not need it.
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
from nas.results.fresh_process import main_module_hidden

TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class ReferenceOutputs:
    """Images and the eager network's logits for them.

    Attributes:
        images: Real images, uint8 [N, C, H, W], at least one.
        logits: All images in one batch, [N, K].
        first_logits: The first image in a batch of one, [1, K], which may use another order of arithmetic.
    """

    images: Pixels
    logits: Logits
    first_logits: Logits


@dataclass(frozen=True)
class VerificationResult:
    """Agreement of an exported file with its network, and its latencies.

    Attributes:
        largest_difference: Largest absolute difference of the logits, over the images.
        share_alike: Fraction of the images with the same predicted class.
        num_images: Number of real images compared.
    """

    largest_difference: float
    share_alike: float
    num_images: int
    latencies: tuple[Latency, ...]

    def require_equal(self, path: Path) -> None:
        """Raise an error if the file differs from the network.

        Raises:
            ModelFileError: A logit differs by 1e-4 or more, or an image has another class.
        """
        if not self.largest_difference < TOLERANCE:  # The negation also rejects NaN.
            raise ModelFileError(
                f"{path}: the exported network's logits differ from the original's by {self.largest_difference:.2e}; "
                "not written"
            )
        if self.share_alike < 1.0:
            raise ModelFileError(
                f"{path}: the exported network predicts another class than the original for "
                f"{1 - self.share_alike:.1%} of the images; not written"
            )


def verify(path: Path, reference: ReferenceOutputs) -> VerificationResult:
    """Run a file in a fresh process on real images, in one batch and one image alone, and measure its latency.

    Raises:
        ModelFileError: The file cannot be opened or run.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        try:
            with main_module_hidden():
                running = pool.submit(_run_and_time, path, reference.images)
            logits_NK, first_logits_1K, latencies = running.result()
        except BrokenProcessPool as error:
            raise ModelFileError(f"{path}: the process that ran the exported network ended abruptly") from error
    differences = [
        np.abs(logits_NK - reference.logits).max(),
        np.abs(first_logits_1K - reference.first_logits).max(),
    ]
    return VerificationResult(
        # numpy's maximum propagates NaN, Python's may drop it.
        largest_difference=float(np.max(differences)),
        share_alike=float((logits_NK.argmax(1) == reference.logits.argmax(1)).mean()),
        num_images=len(reference.images),
        latencies=latencies,
    )


def _run_and_time(path: Path, images_NCHW: Pixels) -> tuple[Logits, Logits, tuple[Latency, ...]]:
    """Return the logits of all images and of the first alone, and the latencies; runs in the fresh process.

    Inference uses one thread.
    """
    warnings.simplefilter("ignore")
    model = open_model(path, threads=1)
    _limit_torch_to_one_thread()
    latencies = tuple(measure_latency(model.logits, images_NCHW, batch) for batch in BATCHES)
    return model.logits(images_NCHW), model.logits(images_NCHW[:1]), latencies


def _limit_torch_to_one_thread() -> None:
    """Set PyTorch to one thread if the file required importing it."""
    import sys

    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)
