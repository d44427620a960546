"""torch.export: the successor of TorchScript, a graph of PyTorch's core operators with its weights."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from nas.export.model_file import METADATA_FILE


def trace_program(classifier: nn.Module, images_NCHW: Tensor) -> ExportedProgram:
    """The graph of a network for any number of images; real ones are given, uint8, at least two."""
    # An example of one image would fix the number at one.
    example_NCHW = images_NCHW[:2] if len(images_NCHW) > 1 else images_NCHW.expand(2, -1, -1, -1)
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")
        return torch.export.export(classifier, (example_NCHW,), dynamic_shapes=({0: Dim("N", min=1)},))


def write_program(program: ExportedProgram, path: Path, metadata: str) -> None:
    """Write a graph as a .pt2 file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(program, path, extra_files={METADATA_FILE: metadata})
