"""OpenVINO's format, from the ONNX file: .xml with the graph and the metadata, and .bin with the weights beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nas.errors import ModelFileError
from nas.export.formats.file_formats import OPENVINO_SUFFIX, WEIGHTS_SUFFIX
from nas.export.inference.exported_model import METADATA_FILE, OPENVINO_METADATA, import_openvino


def write_openvino(onnx_path: Path, path: Path, metadata: str) -> None:
    """Convert an ONNX file, in float32; the weights are written beside the file, under the same name.

    Raises:
        ModelFileError: OpenVINO is not installed, or cannot convert the network.
    """
    openvino: Any = import_openvino(path)
    assert path.suffix == OPENVINO_SUFFIX
    try:
        model = openvino.convert_model(str(onnx_path))
        model.set_rt_info(metadata, [*OPENVINO_METADATA, METADATA_FILE])
        openvino.save_model(model, str(path), compress_to_fp16=False)
    except RuntimeError as error:
        raise ModelFileError(f"{path}: OpenVINO cannot convert the network ({str(error).splitlines()[-1]})") from error


def weights_path(path: Path) -> Path:
    """Path of the weights of an OpenVINO file."""
    return path.with_suffix(WEIGHTS_SUFFIX)
