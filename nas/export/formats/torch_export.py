"""torch.export: the successor of TorchScript, a graph of PyTorch's core operators with its weights."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from nas.export.inference.exported_model import METADATA_FILE

_SOURCE_NOTES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")


def trace_program(classifier: nn.Module, images_NCHW: Tensor) -> ExportedProgram:
    """The graph of a network for any number of images.

    Args:
        images_NCHW: uint8, at least one.
    """
    # An example of one image would fix the number at one. It is kept in the file, and with it all it is a view of.
    example_NCHW = images_NCHW[:1].repeat_interleave(2, dim=0)
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.export.export(classifier, (example_NCHW,), dynamic_shapes=({0: Dim("N", min=1)},))
    # Larger than the weights of a small network, and full of paths on this machine.
    for node in program.graph.nodes:
        for note in _SOURCE_NOTES:
            node.meta.pop(note, None)
    return program


def write_program(program: ExportedProgram, path: Path, metadata: str) -> None:
    """Write a graph as a .pt2 file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, path, extra_files={METADATA_FILE: metadata})
