"""Static 8-bit quantisation: integer weights with one scale a channel, integer activations with one scale a tensor.

Array dimensions: N images, C channels, H and W pixels.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from nas.export.calibration_images import CalibrationImages
from nas.export.inference.exported_model import METADATA_FILE, ModelFile, Pixels
from nas.training.classification_metrics import confusion_matrix, macro_f1

_BATCH = 64


@dataclass(frozen=True)
class Int8Loss:
    """Macro-F1 before and after 8-bit quantisation.

    Attributes:
        calibrated_on: Description of the images that gave the activation ranges.
        float_f1: Macro-F1 of the float32 network on the study's validation images; None if they are unavailable.
        int8_f1: Macro-F1 of the 8-bit network on the same images, or None.
        num_scored: Number of validation images.
        unit: Name of one example: "image" or "pair".
    """

    calibrated_on: str
    float_f1: float | None
    int8_f1: float | None
    num_scored: int
    unit: str = "image"

    @property
    def sentence(self) -> str:
        """Summary for the terminal."""
        if self.float_f1 is None or self.int8_f1 is None:
            return f"int8: calibrated on {self.calibrated_on}; its loss of macro-F1 could not be measured there."
        return (
            f"int8: calibrated on {self.calibrated_on}; macro-F1 {self.int8_f1:.4f} on {self.num_scored:,} validation "
            f"{self.unit}s, {self.float_f1:.4f} in float32: {self.int8_f1 - self.float_f1:+.4f}."
        )


def quantize(float_path: Path, path: Path, calibration_NCHW: Pixels) -> None:
    """Write an 8-bit copy of an ONNX file (QDQ format, which every ONNX runtime reads).

    Weights use seven bits (`reduce_range`). Processors without VNNI instructions add products of eight by eight bits
    two at a time in sixteen bits. That sum saturates and would change the results.
    The classifier stays in float32: it is small, and logits above the calibrated range would be clipped.

    Args:
        calibration_NCHW: Real images; the minimum and maximum of each layer's output on them become its range.
    """
    graph = onnx.load(float_path).graph
    classifier = [node.name for node in graph.node if graph.output[0].name in node.output]
    with _root_logger_at_error_level():
        quantize_static(
            float_path, path, _CalibrationBatches(graph.input[0].name, calibration_NCHW), quant_format=QuantFormat.QDQ,
            per_channel=True, reduce_range=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            nodes_to_exclude=classifier,
        )  # fmt: skip
    model = onnx.load(path)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    metadata = {**json.loads(properties[METADATA_FILE]), "quantization": "int8"}
    onnx.helper.set_model_props(model, {**properties, METADATA_FILE: json.dumps(metadata)})
    onnx.save(model, path)


def measure_loss(float_model: ModelFile, int8_model: ModelFile, images: CalibrationImages) -> Int8Loss:
    """Score both networks on the study's validation images, if available."""
    if images.validation is None:
        return Int8Loss(images.source, None, None, 0)
    float_f1, int8_f1 = (_macro_f1(model, images) for model in (float_model, int8_model))
    return Int8Loss(images.source, float_f1, int8_f1, len(images.validation), float_model.metadata["input"]["kind"])


def _macro_f1(model: ModelFile, images: CalibrationImages) -> float:
    assert images.validation is not None
    pixels_NCHW = model.as_input(images.validation.images.numpy())
    starts = range(0, len(pixels_NCHW), _BATCH)
    classes_N = np.concatenate([model.logits(pixels_NCHW[i : i + _BATCH]).argmax(1) for i in starts])
    return macro_f1(confusion_matrix(images.validation.labels, torch.from_numpy(classes_N), len(model.classes)))


class _CalibrationBatches(CalibrationDataReader):  # type: ignore[misc]
    """Batches of calibration images for the quantiser."""

    def __init__(self, input_name: str, images_NCHW: Pixels) -> None:
        self._name = input_name
        self._batches = iter([images_NCHW[i : i + _BATCH] for i in range(0, len(images_NCHW), _BATCH)])

    def get_next(self) -> dict[str, Pixels] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}


@contextlib.contextmanager
def _root_logger_at_error_level() -> Iterator[None]:
    """Suppress the quantiser's advice, which it logs on the root logger."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
