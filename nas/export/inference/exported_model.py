"""Loading and running exported files of every format. Imports torch only for PyTorch's own formats.

Array dimensions: N images (or pairs of images), C channels, H and W pixels, K classes.
"""

from __future__ import annotations

import importlib
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.errors import ModelFileError
from nas.export.inference.model_file_safety import check_program
from nas.results.printable_text import printable

METADATA_FILE = "metadata.json"
FORMAT = "nas-model-1"
OPENVINO_METADATA = ("nas",)

Pixels = npt.NDArray[np.uint8]
Logits = npt.NDArray[np.float32]

_LogitsFunction = Callable[[Pixels], Logits]


@dataclass(frozen=True, eq=False)
class ModelFile:
    """An opened file of `nas export`.

    Attributes:
        logits: Maps uint8 pixels [N, C, H, W], or [N, 2, C, H, W] for pairs, to float32 logits [N, K].
        metadata: Metadata as written by `nas.export.metadata`.
        num_images: Images per prediction: two for a network that compares pairs, else one.
        channels: Channels of each image.
    """

    logits: _LogitsFunction
    metadata: dict[str, Any]
    classes: tuple[str, ...]
    num_images: int
    channels: int
    height: int
    width: int

    @property
    def shrink(self) -> int:
        """Factor by which the sides of the training images were reduced to the network's size."""
        return int(self.metadata["training_images"].get("shrink", 1))

    @property
    def bits(self) -> int | None:
        """Significant bits of images with 16 bits a channel, as in training; None for all 16."""
        bits: int | None = self.metadata["training_images"].get("bits")
        return bits

    @property
    def temperature(self) -> float:
        """Divisor of the logits before the softmax; 1 for a file without calibration."""
        return float(self.metadata.get("calibration", {}).get("temperature", 1.0))

    @property
    def evidence_threshold(self) -> float:
        """Evidence, as in `evidence`, below which an image is unlike those of training; -inf without calibration."""
        return float(self.metadata.get("calibration", {}).get("evidence_threshold", -np.inf))

    @property
    def unlike_share(self) -> float:
        """Share of images like those of training that are below the threshold."""
        return float(self.metadata.get("calibration", {}).get("unlike_share", 0.0))

    def as_input(self, images_NCHW: Pixels) -> Pixels:
        """Reshape consecutive images, or the channel-stacked pairs of a `Split`, to the input of `logits`."""
        pair = (2,) if self.num_images == 2 else ()
        return images_NCHW.reshape(-1, *pair, self.channels, self.height, self.width)


def evidence(logits_NK: Logits) -> npt.NDArray[np.float64]:
    """Log of the sum of the logits' exponentials, [N]: the negative energy of Liu et al. (2020)."""
    highest_N1 = logits_NK.max(axis=1, keepdims=True).astype(np.float64)
    summed_N: npt.NDArray[np.float64] = np.log(np.exp(logits_NK - highest_N1).sum(axis=1)) + highest_N1[:, 0]
    return summed_N


def open_model(path: Path, threads: int | None = None) -> ModelFile:
    """Open an exported file; its format is detected from its content.

    Args:
        threads: Number of threads for ONNX Runtime, which ignores PyTorch's setting; default: one per core.

    Raises:
        ModelFileError: The file is missing, damaged, or was not written by `nas export`.
    """
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file")
    try:
        logits, text = _open(path, threads)
        metadata: dict[str, Any] = json.loads(text)
        if metadata["format"] != FORMAT:
            raise ValueError(f"format {metadata['format']!r}")
        _, *pair, channels, height, width = metadata["input"]["shape"]
        if pair not in ([], [2]):
            raise ValueError(f"{pair} images at once")
        # Class names of a file from elsewhere must not reach the terminal as control sequences.
        classes = tuple(map(printable, metadata["classes"]))
        return ModelFile(logits, metadata, classes, 1 + len(pair), channels, height, width)
    except ModelFileError:
        raise
    except Exception as error:
        # Four libraries parse an untrusted file and raise many types of errors.
        raise ModelFileError(
            f"{path}: not a model that `nas export` wrote, or damaged; export it again with this version"
        ) from error


def _open(path: Path, threads: int | None) -> tuple[_LogitsFunction, str]:
    """Return the file's inference function and its metadata as JSON text."""
    if path.suffix.lower() == ".xml":
        return _open_openvino(path, threads)
    if not zipfile.is_zipfile(path):
        return _open_onnx(path, threads)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    # Both PyTorch formats are zip archives; only torch.export's contains this entry.
    is_program = any(name.rpartition("/")[2] == "archive_format" for name in names)
    return _open_program(path) if is_program else _open_torchscript(path)


def _open_torchscript(path: Path) -> tuple[_LogitsFunction, str]:
    import torch

    extra = {METADATA_FILE: ""}
    module = torch.jit.load(str(path), map_location="cpu", _extra_files=extra)  # type: ignore[no-untyped-call]
    return _torch_logits_function(module), _as_text(extra[METADATA_FILE])


def _open_program(path: Path) -> tuple[_LogitsFunction, str]:
    import torch

    check_program(path)
    extra = {METADATA_FILE: ""}
    program = torch.export.load(path, extra_files=extra)
    return _torch_logits_function(program.module()), _as_text(extra[METADATA_FILE])


def _torch_logits_function(module: Callable[..., Any]) -> _LogitsFunction:
    import torch

    def run(images_NCHW: Pixels) -> Logits:
        with torch.inference_mode():
            logits_NK: Logits = module(torch.from_numpy(images_NCHW)).numpy()
        return logits_NK

    return run


def _open_onnx(path: Path, threads: int | None) -> tuple[_LogitsFunction, str]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (model_input,) = session.get_inputs()

    def run(images_NCHW: Pixels) -> Logits:
        logits_NK: Logits = session.run(None, {model_input.name: images_NCHW})[0]
        return logits_NK

    return run, session.get_modelmeta().custom_metadata_map[METADATA_FILE]


def import_openvino(path: Path) -> Any:
    """Import OpenVINO, which is an extra of this program.

    Raises:
        ModelFileError: It is not installed.
    """
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise ModelFileError(f"{path}: needs OpenVINO; pip install 'nas[openvino]'") from error


def _open_openvino(path: Path, threads: int | None) -> tuple[_LogitsFunction, str]:
    openvino = import_openvino(path)
    # By default its processors' plugin computes in bfloat16 where the processor can.
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    model = openvino.Core().read_model(str(path))
    compiled = openvino.compile_model(model, "CPU", options)

    def run(images_NCHW: Pixels) -> Logits:
        logits_NK: Logits = compiled(images_NCHW)[0].copy()
        return logits_NK

    return run, str(model.get_rt_info([*OPENVINO_METADATA, METADATA_FILE]).value)


def _as_text(content: str | bytes) -> str:
    return content.decode() if isinstance(content, bytes) else content
