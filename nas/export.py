"""Exporting a trained network as one TorchScript file, checked before it is called done.

Dimensions: N images, C channels, H and W pixels, K classes.
"""

from __future__ import annotations

import contextlib
import json
import platform
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import nas
from nas.data.normalization import Normalization
from nas.errors import ModelFileError
from nas.networks.build import build_network
from nas.training.weights import Weights, load_weights

METADATA_FILE = "metadata.json"
FORMAT = "nas-torchscript-1"
TOLERANCE = 1e-4


class PixelClassifier(nn.Module):
    """Normalisation and network: uint8 pixels [N, C, H, W] to float32 logits [N, K]."""

    def __init__(self, normalization: Normalization, network: nn.Module) -> None:
        super().__init__()
        self.normalization = normalization
        self.network = network

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits of images whose pixels are 0–255."""
        logits_NK: Tensor = self.network(self.normalization(images_NCHW))
        return logits_NK


@dataclass(frozen=True)
class Verified:
    """What the check of an exported file found.

    Attributes:
        largest_difference: Between its logits and the eager network's, over the images.
        num_images: Real validation images that were compared.
        file_bytes: Size of the file.
    """

    largest_difference: float
    num_images: int
    file_bytes: int


def rebuild(weights: Weights) -> PixelClassifier:
    """The eager network of a weights file, in evaluation mode on the CPU.

    Raises:
        ModelFileError: The weights do not fit the network.
    """
    facts = weights.blueprint.facts
    network = build_network(weights.blueprint.genome.architecture, facts.channels, len(facts.classes))
    try:
        network.load_state_dict(weights.state)
    except RuntimeError as error:
        raise ModelFileError("the weights are not those of the network that their file describes") from error
    normalization = Normalization(torch.tensor(facts.mean), torch.tensor(facts.std))
    return PixelClassifier(normalization, network).eval()


def export_torchscript(weights_file: Path, output: Path, trial: dict[str, Any]) -> Verified:
    """Write a network as TorchScript and check the file against the network.

    Args:
        trial: What the metadata says of where it comes from: study, trial number, metrics.

    Raises:
        ModelFileError: The weights cannot be read, the output cannot be written, or the file's logits are not
            the network's; the output is then not left behind.
    """
    weights = load_weights(weights_file)
    eager = rebuild(weights)
    images_NCHW = weights.sample_images
    partial = output.with_name(output.name + ".partial")
    try:
        with warnings.catch_warnings():
            # PyTorch deprecates TorchScript, which is nevertheless what deployments here load.
            warnings.simplefilter("ignore", DeprecationWarning)
            with torch.inference_mode(False), torch.no_grad():
                traced = torch.jit.trace(eager, images_NCHW[:2])  # type: ignore[no-untyped-call]
                # Optimising numerics reorders arithmetic; without it the outputs are the same to the bit.
                frozen = torch.jit.freeze(traced, optimize_numerics=False)
            torch.jit.save(frozen, str(partial), _extra_files={METADATA_FILE: json.dumps(_metadata(weights, trial))})
        difference = _largest_difference(eager, partial, images_NCHW)
        if not difference <= TOLERANCE:  # NaN is no agreement.
            raise ModelFileError(
                f"{output}: the exported network's logits differ from the original's by {difference:.2e}; not written"
            )
        partial.replace(output)
    except (OSError, RuntimeError) as error:
        raise ModelFileError(f"{output}: cannot be written ({str(error).splitlines()[0]})") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return Verified(difference, len(images_NCHW), output.stat().st_size)


def _metadata(weights: Weights, trial: dict[str, Any]) -> dict[str, Any]:
    blueprint = weights.blueprint
    return {
        "format": FORMAT,
        "classes": blueprint.facts.classes,
        "input": {
            "shape": ["N", blueprint.facts.channels, blueprint.facts.height, blueprint.facts.width],
            "type": "uint8",
            "range": [0, 255],
        },
        "genome": blueprint.genome.model_dump(mode="json", exclude_none=True),
        "validation_metrics": blueprint.metrics,
        "data": blueprint.facts.name,
        **trial,
        "versions": {"nas": nas.__version__, "torch": torch.__version__, "python": platform.python_version()},
    }


def _largest_difference(eager: nn.Module, path: Path, images_NCHW: Tensor) -> float:
    """Of the logits, over all images at once and one by one."""
    loaded = torch.jit.load(str(path))  # type: ignore[no-untyped-call]
    with torch.inference_mode():
        differences = [(loaded(batch) - eager(batch)).abs().max() for batch in (images_NCHW, images_NCHW[:1])]
    # Torch's maximum keeps a NaN, Python's may lose it.
    return float(torch.stack(differences).max())
