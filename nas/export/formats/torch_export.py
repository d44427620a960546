"""torch.export files (.pt2), the successor of TorchScript: a graph of PyTorch's core operators with its weights."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from nas.export.inference.exported_model import METADATA_FILE

_SOURCE_METADATA = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")


def trace_program(classifier: nn.Module, images_NCHW: Tensor) -> ExportedProgram:
    """Trace a network into a graph with a dynamic batch size.

    Args:
        images_NCHW: uint8, at least one.
    """
    # A batch of one would fix the batch size. The copy avoids storing the tensor behind a view: examples are saved.
    example_NCHW = images_NCHW[:1].repeat_interleave(2, dim=0)
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.export.export(classifier, (example_NCHW,), dynamic_shapes=({0: Dim("N", min=1)},))
    # Source metadata is larger than the weights of a small network and contains paths of this machine.
    for node in program.graph.nodes:
        for key in _SOURCE_METADATA:
            node.meta.pop(key, None)
    return program


def write_program(program: ExportedProgram, path: Path, metadata: str) -> None:
    """Write a graph as a .pt2 file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, path, extra_files={METADATA_FILE: metadata})
