"""Export formats and their file suffixes. Does not import torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from nas.errors import ModelFileError

INT8_SUFFIX = ".int8.onnx"
OPENVINO_SUFFIX = ".xml"
WEIGHTS_SUFFIX = ".bin"
"""Suffix of the weights beside an OpenVINO file."""


class Format(str, Enum):
    """File format of an exported network."""

    TORCHSCRIPT = "torchscript"
    PT2 = "pt2"
    ONNX = "onnx"
    INT8 = "onnx int8"
    OPENVINO = "openvino"


SUFFIXES = {".pt": Format.TORCHSCRIPT, ".pt2": Format.PT2, ".onnx": Format.ONNX}


@dataclass(frozen=True)
class Output:
    """Path and format of a file to write."""

    path: Path
    format: Format


def format_from_suffix(path: Path) -> Format:
    """Return the format that belongs to a file's suffix.

    Raises:
        ModelFileError: The suffix belongs to no format.
    """
    if path.suffix.lower() == OPENVINO_SUFFIX:
        return Format.OPENVINO
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise ModelFileError(
            f"{path}: the suffix names no format; use {', '.join((*SUFFIXES, OPENVINO_SUFFIX))}, or say --format"
        ) from None


def float32_outputs(path: Path) -> list[Output]:
    """Return one output for each float32 format, in the same folder and under the same name."""
    stem = path.with_suffix("") if path.suffix.lower() in SUFFIXES else path
    return [Output(stem.with_name(stem.name + suffix), file_format) for suffix, file_format in SUFFIXES.items()]


def int8_output(outputs: Sequence[Output]) -> Output:
    """Return the output of the 8-bit network, in the folder and under the name of the first output."""
    first = outputs[0].path
    stem = first.stem if first.suffix.lower() in SUFFIXES else first.name
    return Output(first.with_name(stem + INT8_SUFFIX), Format.INT8)
