"""Conversion of a weights file to exported files, with verification of each file in a fresh process.

Array dimensions: N images, C channels, H and W pixels, K classes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor
from typing_extensions import assert_never

from nas.errors import ModelFileError
from nas.export.calibration_images import CalibrationImages
from nas.export.formats.file_formats import INT8_SUFFIX, OPENVINO_SUFFIX, Format, Output
from nas.export.formats.int8_quantization import Int8Loss, measure_loss, quantize
from nas.export.formats.onnx import write_onnx
from nas.export.formats.openvino import weights_path, write_openvino
from nas.export.formats.torch_export import trace_program, write_program
from nas.export.formats.torchscript import write_torchscript
from nas.export.inference.exported_model import open_model
from nas.export.metadata import Origin, export_metadata, input_shape
from nas.export.pixel_classifier import PixelClassifier, rebuild
from nas.export.probability_calibration import ProbabilityCalibration, calibrate
from nas.export.subprocess_verification import ReferenceOutputs, VerificationResult, verify
from nas.networks.batch_norm_folding import fold_batch_norms
from nas.training.checkpoints.weights_file import Weights, load_weights

CalibrationLoader = Callable[[Weights], CalibrationImages]

_FILE_NAMES = {
    Format.TORCHSCRIPT: "model.pt",
    Format.PT2: "model.pt2",
    Format.ONNX: "model.onnx",
    Format.INT8: f"model{INT8_SUFFIX}",
    Format.OPENVINO: f"model{OPENVINO_SUFFIX}",
}


@dataclass(frozen=True)
class ExportedFile:
    """An exported file, its size and its verification.

    Attributes:
        loss: Accuracy loss of an 8-bit network; None for float32.
        calibration: Calibration of the network's probabilities; None where the validation images are not available, or
            were trained on.
    """

    output: Output
    file_bytes: int
    verification: VerificationResult
    loss: Int8Loss | None = None
    calibration: ProbabilityCalibration | None = None


def export_network(
    weights_file: Path,
    outputs: Sequence[Output],
    origin: Origin,
    load_calibration: CalibrationLoader,
    *,
    is_calibrated: bool = False,
) -> list[ExportedFile]:
    """Write a network in each format, verify every file, then move all files to their destinations.

    Args:
        outputs: Their folders must exist.
        load_calibration: Returns the images for an 8-bit network and for calibrated probabilities; called only if one
            of both is asked for.
        is_calibrated: Calibrate the probabilities on validation images, where they are available.

    Raises:
        ModelFileError: The weights cannot be read, an output cannot be written, or a float32 file differs from the
            network; none of the outputs is then written.
    """
    weights = load_weights(weights_file)
    load_once = cache(partial(load_calibration, weights))
    calibration = calibrate_weights(weights, load_once) if is_calibrated else None
    # The temporary folder is in the first output's folder, so that moving a file there is one atomic step.
    destination = outputs[0].path
    try:
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".nas-export-") as folder:
            job = _ExportJob(weights, json.dumps(export_metadata(weights, origin, calibration)), Path(folder))
            exported = [replace(job.write_and_verify(output, load_once), calibration=calibration) for output in outputs]
            for file in exported:
                destination = file.output.path
                if file.output.format is Format.OPENVINO:
                    weights_path(job.temporary_path(Format.OPENVINO)).replace(weights_path(destination))
                job.temporary_path(file.output.format).replace(destination)
    except OSError as error:
        raise ModelFileError(f"{destination}: cannot be written ({error.strerror or error})") from error
    return exported


def calibrate_weights(weights: Weights, load: Callable[[], CalibrationImages]) -> ProbabilityCalibration | None:
    """Calibrate a network on the validation images; None without them, and for one of finals, trained on them."""
    if weights.metadata.scored_on != "validation":
        return None
    validation = load().validation
    return None if validation is None else calibrate(rebuild(weights), validation)


class _ExportJob:
    """Export of one network to temporary files."""

    def __init__(self, weights: Weights, metadata: str, folder: Path) -> None:
        self._weights = weights
        self._metadata = metadata
        self._folder = folder
        self._images = weights.sample_images.reshape(-1, *input_shape(weights.metadata.dataset))
        self._reference = _reference_outputs(rebuild(weights), self._images)
        self._classifier = rebuild(weights)
        fold_batch_norms(self._classifier.network)

    def temporary_path(self, file_format: Format) -> Path:
        """Path of the file until it is moved to its destination."""
        return self._folder / _FILE_NAMES[file_format]

    def write_and_verify(self, output: Output, load_calibration: Callable[[], CalibrationImages]) -> ExportedFile:
        """Write and verify one file; in float32 its logits must equal the network's within the tolerance."""
        path = self.temporary_path(output.format)
        loss = self._write(output.format, load_calibration)
        verification = verify(path, self._reference)
        if output.format is not Format.INT8:
            verification.require_equal(output.path)
        file_bytes = path.stat().st_size
        if output.format is Format.OPENVINO:
            file_bytes += weights_path(path).stat().st_size
        return ExportedFile(output, file_bytes, verification, loss)

    def _write(self, file_format: Format, load_calibration: Callable[[], CalibrationImages]) -> Int8Loss | None:
        path = self.temporary_path(file_format)
        match file_format:
            case Format.TORCHSCRIPT:
                write_torchscript(self._classifier, self._images, path, self._metadata)
            case Format.PT2:
                write_program(trace_program(self._classifier, self._images), path, self._metadata)
            case Format.ONNX:
                write_onnx(trace_program(self._classifier.contiguous(), self._images), path, self._metadata)
            case Format.OPENVINO:
                write_openvino(self._onnx_file(load_calibration), path, self._metadata)
            case Format.INT8:
                return self._write_int8(load_calibration())
            case _:
                assert_never(file_format)
        return None

    def _onnx_file(self, load_calibration: Callable[[], CalibrationImages]) -> Path:
        """Return the ONNX file that other formats are made from; it is written if it is no output."""
        path = self.temporary_path(Format.ONNX)
        if not path.exists():
            self._write(Format.ONNX, load_calibration)
        return path

    def _write_int8(self, images: CalibrationImages) -> Int8Loss:
        float_path, path = self._onnx_file(lambda: images), self.temporary_path(Format.INT8)
        float_model = open_model(float_path)
        quantize(float_path, path, float_model.as_input(images.calibration))
        return measure_loss(float_model, open_model(path), images)


@torch.no_grad()
def _reference_outputs(classifier: PixelClassifier, images_NCHW: Tensor) -> ReferenceOutputs:
    logits_NK, first_logits_1K = (classifier(images).numpy() for images in (images_NCHW, images_NCHW[:1]))
    return ReferenceOutputs(images_NCHW.numpy(), logits_NK, first_logits_1K)
