"""ONNX export, for runtimes other than PyTorch: phones, browsers and microcontrollers."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from nas.export.inference.exported_model import METADATA_FILE

OPSET = 20
"""First opset with GELU as one operator; average pooling rounds sizes up as in PyTorch (wrong below opset 19)."""


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
    _clear_node_metadata(exported.model)
    exported.model.metadata_props[METADATA_FILE] = metadata
    exported.save(path, external_data=False)


def _name_batch_dimension(model: Any) -> None:
    """Rename the batch dimension to N wherever it occurs, in place of the exporter's own symbol."""
    symbol = model.graph.inputs[0].shape[0]
    for value in _graph_values(model):
        for axis, size in enumerate(value.shape or ()):
            if size == symbol:
                value.shape[axis] = "N"


def _clear_node_metadata(model: Any) -> None:
    """Remove the exporter's notes on translated operators, which are larger than a small network's weights."""
    for annotated in (model.graph, *model.graph, *_graph_values(model), *model.graph.initializers.values()):
        annotated.metadata_props.clear()


def _graph_values(model: Any) -> list[Any]:
    return [*model.graph.inputs, *(output for node in model.graph for output in node.outputs)]
