"""Size of the exported ONNX file, in float32 or int8."""

from __future__ import annotations

from pathlib import Path

import onnx

from nas.export.costs.measured_network import MeasuredNetwork


def size_bytes(network: MeasuredNetwork) -> float:
    """Bytes of the ONNX file that `nas export` writes, without its metadata (`metadata_props`).

    The metadata are names of classes, scores and versions, which are no part of the network and differ from training
    to training.
    """
    return bytes_without_metadata(network.file)


def bytes_without_metadata(path: Path) -> int:
    """Return the bytes of an ONNX file without its metadata."""
    model = onnx.load(path)
    del model.metadata_props[:]
    return int(model.ByteSize())
