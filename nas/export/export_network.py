"""From a weights file to exported files: written, each tried in a fresh process, and then put where they belong.

Array dimensions: N images, C channels, H and W pixels, K classes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from typing_extensions import assert_never

from nas.errors import ModelFileError
from nas.export.calibration_images import CalibrationImages
from nas.export.formats.file_formats import INT8_SUFFIX, Format, Output
from nas.export.formats.int8_quantization import Int8Loss, measure_loss, quantize
from nas.export.formats.onnx import write_onnx
from nas.export.formats.torch_export import trace_program, write_program
from nas.export.formats.torchscript import write_torchscript
from nas.export.inference.exported_model import open_model
from nas.export.metadata import Origin, export_metadata, input_shape
from nas.export.pixel_classifier import PixelClassifier, rebuild
from nas.export.subprocess_verification import ReferenceOutputs, VerificationResult, verify
from nas.networks.batch_norm_folding import fold_batch_norms
from nas.training.checkpoints.weights_file import Weights, load_weights


@dataclass(frozen=True)
class ExportedFile:
    """A file that was written.

    Attributes:
        loss: Of an eight-bit network.
    """

    output: Output
    file_bytes: int
    verification: VerificationResult
    loss: Int8Loss | None = None


def export_network(
    weights_file: Path,
    outputs: Sequence[Output],
    origin: Origin,
    held: Callable[[Weights], CalibrationImages],
) -> list[ExportedFile]:
    """Write a network in each of these formats, and check every file before any is put in its place.

    Args:
        outputs: All in folders that exist.
        held: Where an eight-bit network is wanted, the images for it.

    Raises:
        ModelFileError: The weights cannot be read, an output cannot be written, or a file is not the network in
            float32; none of the outputs is then written.
    """
    weights = load_weights(weights_file)
    # In the output's own folder, so that putting a file in its place is one step.
    where = outputs[0].path
    try:
        with tempfile.TemporaryDirectory(dir=where.parent, prefix=".nas-export-") as folder:
            workshop = _ExportJob(weights, json.dumps(export_metadata(weights, origin)), Path(folder))
            shipped = [workshop.make(output, held) for output in outputs]
            for one in shipped:
                where = one.output.path
                workshop.path(one.output.format).replace(where)
    except OSError as error:
        raise ModelFileError(f"{where}: cannot be written ({error.strerror or error})") from error
    return shipped


class _ExportJob:
    """A network, and its files while they are being made."""

    def __init__(self, weights: Weights, metadata: str, folder: Path) -> None:
        self._weights = weights
        self._metadata = metadata
        self._folder = folder
        self._images = weights.sample_images.reshape(-1, *input_shape(weights.metadata.dataset))
        self._expected = _ask(rebuild(weights), self._images)
        self._classifier = rebuild(weights)
        fold_batch_norms(self._classifier.network)

    def path(self, kind: Format) -> Path:
        """Where the file is before it is put in its place."""
        names = {Format.TORCHSCRIPT: ".pt", Format.PT2: ".pt2", Format.ONNX: ".onnx", Format.INT8: INT8_SUFFIX}
        return self._folder / f"model{names[kind]}"

    def make(self, output: Output, held: Callable[[Weights], CalibrationImages]) -> ExportedFile:
        """Write a file and try it; in float32 it must be the network."""
        path = self.path(output.format)
        loss = self._write(output.format, held)
        verification = verify(path, self._expected)
        if output.format is not Format.INT8:
            verification.require_equal(output.path)
        return ExportedFile(output, path.stat().st_size, verification, loss)

    def _write(self, kind: Format, held: Callable[[Weights], CalibrationImages]) -> Int8Loss | None:
        path = self.path(kind)
        match kind:
            case Format.TORCHSCRIPT:
                write_torchscript(self._classifier, self._images, path, self._metadata)
            case Format.PT2:
                write_program(trace_program(self._classifier, self._images), path, self._metadata)
            case Format.ONNX:
                write_onnx(trace_program(self._classifier.contiguous(), self._images), path, self._metadata)
            case Format.INT8:
                return self._write_int8(held(self._weights))
            case _:
                assert_never(kind)
        return None

    def _write_int8(self, images: CalibrationImages) -> Int8Loss:
        float_path, path = self.path(Format.ONNX), self.path(Format.INT8)
        if not float_path.exists():
            self._write(Format.ONNX, lambda weights: images)
        before = open_model(float_path)
        quantize(float_path, path, before.as_input(images.calibration))
        return measure_loss(before, open_model(path), images)


@torch.no_grad()
def _ask(classifier: PixelClassifier, images_NCHW: Tensor) -> ReferenceOutputs:
    logits_NK, alone_1K = (classifier(images).numpy() for images in (images_NCHW, images_NCHW[:1]))
    return ReferenceOutputs(images_NCHW.numpy(), logits_NK, alone_1K)
