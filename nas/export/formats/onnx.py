"""ONNX: a graph that runtimes other than PyTorch take, on phones, in browsers and on microcontrollers."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from nas.export.inference.exported_model import METADATA_FILE

OPSET = 20
"""The first with GELU as one operator; its average pooling rounds sizes up as PyTorch's does (wrong below 19)."""


def write_onnx(program: ExportedProgram, path: Path, metadata: str) -> None:
    """Write a graph as ONNX: `images`, uint8 [N, C, H, W], to `logits`, float32 [N, K]."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            exported = torch.onnx.export(
                program, dynamo=True, opset_version=OPSET, input_names=["images"], output_names=["logits"],
                external_data=False, verbose=False,
            )  # fmt: skip
        finally:
            logger.setLevel(level)
    assert exported is not None
    _name_batch_dimension(exported.model)
    _forget_origins(exported.model)
    exported.model.metadata_props[METADATA_FILE] = metadata
    exported.save(path, external_data=False)


def _name_batch_dimension(model: Any) -> None:
    """Call it N wherever it occurs, in place of the exporter's own symbol."""
    symbol = model.graph.inputs[0].shape[0]
    for value in _values(model):
        for axis, size in enumerate(value.shape or ()):
            if size == symbol:
                value.shape[axis] = "N"


def _forget_origins(model: Any) -> None:
    """Drop what the exporter notes of the operators it translated, which is more than a small network's weights."""
    for noted in (model.graph, *model.graph, *_values(model), *model.graph.initializers.values()):
        noted.metadata_props.clear()


def _values(model: Any) -> list[Any]:
    return [*model.graph.inputs, *(output for node in model.graph for output in node.outputs)]
