"""The formats of an exported network, by name and by a file's suffix; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from nas.errors import ModelFileError

INT8_SUFFIX = ".int8.onnx"


class Format(str, Enum):
    """How a network is written."""

    TORCHSCRIPT = "torchscript"
    PT2 = "pt2"
    ONNX = "onnx"
    INT8 = "onnx int8"


SUFFIXES = {".pt": Format.TORCHSCRIPT, ".pt2": Format.PT2, ".onnx": Format.ONNX}


@dataclass(frozen=True)
class Output:
    """A file to be written."""

    path: Path
    format: Format


def format_from_suffix(path: Path) -> Format:
    """The format that a file's suffix asks for.

    Raises:
        ModelFileError: None goes by that suffix.
    """
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise ModelFileError(
            f"{path}: the suffix names no format; use {', '.join(SUFFIXES)}, or say --format"
        ) from None


def float32_outputs(path: Path) -> list[Output]:
    """Every format in float32, beside each other under one name."""
    stem = path.with_suffix("") if path.suffix.lower() in SUFFIXES else path
    return [Output(stem.with_name(stem.name + suffix), kind) for suffix, kind in SUFFIXES.items()]


def int8_output(outputs: Sequence[Output]) -> Output:
    """Where the network in eight bits goes: beside the first of the other files, under its name."""
    first = outputs[0].path
    stem = first.stem if first.suffix.lower() in SUFFIXES else first.name
    return Output(first.with_name(stem + INT8_SUFFIX), Format.INT8)
