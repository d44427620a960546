"""TorchScript export: one file that PyTorch runs without this program, from Python and from C++."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from nas.export.inference.exported_model import METADATA_FILE


def write_torchscript(classifier: nn.Module, images_NCHW: Tensor, path: Path, metadata: str) -> None:
    """Trace, freeze and save a network.

    Args:
        images_NCHW: Real images for tracing, uint8; the file accepts any batch size.
    """
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        # PyTorch deprecates TorchScript, but many deployments load it.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(classifier, images_NCHW[:2])  # type: ignore[no-untyped-call]
        # Optimising numerics reorders arithmetic; without it the outputs are identical to the bit.
        frozen = torch.jit.freeze(traced, optimize_numerics=False)
        torch.jit.save(frozen, str(path), _extra_files={METADATA_FILE: metadata})
