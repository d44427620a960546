"""Predictions on the test images in little space: the predicted class and the most probable few of each image.

Dimensions: N images, K classes, T most probable classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from nas.errors import ArchiveError
from nas.results.predictions_on_test_images import Predictions

TOP = 3
_FLOOR = 1e-6


def compact(predictions: Predictions, top: int = TOP) -> bytes:
    """Return labels, the T most probable classes and their probabilities as safetensors, the predicted class first."""
    logits_NK = np.nan_to_num(predictions.logits.astype(np.float64), nan=-1e4, posinf=1e4, neginf=-1e4)
    num_images, num_classes = logits_NK.shape
    exponentials_NK = np.exp(logits_NK - logits_NK.max(1, keepdims=True))
    probabilities_NK = exponentials_NK / exponentials_NK.sum(1, keepdims=True)
    ranked_NK = probabilities_NK.copy()
    # Of equal logits, and of none that is a number, the predicted class is the one that NumPy's argmax gives.
    ranked_NK[np.arange(num_images), predictions.classes] = 2.0
    order_NT = np.argsort(-ranked_NK, axis=1, kind="stable")[:, : min(top, num_classes)]
    integer = np.uint8 if num_classes <= 256 else np.uint16
    return save(
        {
            "labels": predictions.labels.astype(integer),
            "classes": np.ascontiguousarray(order_NT.astype(integer)),
            "probabilities": np.take_along_axis(probabilities_NK, order_NT, axis=1).astype(np.float16),
        },
        {"num_classes": str(num_classes)},
    )


def expand(content: bytes, num_classes: int) -> Predictions:
    """Return predictions with the same classes, and logits whose softmax gives the stored probabilities.

    The probability that is left is divided evenly among the other classes.

    Raises:
        ArchiveError: The content is not that of `compact`.
    """
    try:
        arrays = load(content)
        labels_N, classes_NT = arrays["labels"].astype(np.int64), arrays["classes"].astype(np.int64)
        probabilities_NT = arrays["probabilities"].astype(np.float64)
    except (SafetensorError, KeyError) as error:
        raise ArchiveError(f"predictions are damaged ({error})") from error
    is_valid = classes_NT.ndim == 2 and classes_NT.shape == probabilities_NT.shape and len(classes_NT) == len(labels_N)
    if not is_valid or max(classes_NT.max(initial=0), labels_N.max(initial=0)) >= num_classes:
        raise ArchiveError(f"predictions are damaged, or of other classes than the study's {num_classes}")
    return Predictions(_logits(classes_NT, probabilities_NT, num_classes), labels_N)


def _logits(
    classes_NT: NDArray[np.int64], probabilities_NT: NDArray[np.float64], num_classes: int
) -> NDArray[np.float32]:
    num_images, top = classes_NT.shape
    left_N = np.clip(1.0 - probabilities_NT.sum(1), _FLOOR, 1.0) / max(1, num_classes - top)
    logits_NK = np.repeat(np.log(left_N).astype(np.float32)[:, None], num_classes, axis=1)
    top_NT = np.log(np.clip(probabilities_NT, _FLOOR, None)).astype(np.float32)
    np.put_along_axis(logits_NK, classes_NT, top_NT, axis=1)
    # Rounding can make others equal to the predicted class, which alone must be the largest.
    rows = np.arange(num_images)
    others_NK = logits_NK.copy()
    others_NK[rows, classes_NT[:, 0]] = -np.inf
    above_N = np.nextafter(others_NK.max(1, initial=-np.inf), np.float32(np.inf))
    logits_NK[rows, classes_NT[:, 0]] = np.maximum(logits_NK[rows, classes_NT[:, 0]], above_N)
    return logits_NK
