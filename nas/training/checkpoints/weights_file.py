"""Weights files: safetensors with weights, metadata and sample images.

The metadata suffice to rebuild the network. The sample images are real validation images, on which an export can be
verified without the data set.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from nas.errors import ModelFileError
from nas.results.dataset_summary import DatasetSummary
from nas.space.genome import Genome

SAMPLE_IMAGES = 64
_SAMPLES = "sample_images"


@dataclass(frozen=True)
class WeightsMetadata:
    """Metadata of a weights file.

    Attributes:
        metrics: Averaged scores by name.
        scored_on: Split on which the metrics were computed.
    """

    genome: Genome
    dataset: DatasetSummary
    metrics: dict[str, float]
    scored_on: str = "validation"


@dataclass(frozen=True)
class Weights:
    """Contents of a weights file.

    Attributes:
        state: State dict of the network.
        sample_images: Validation images [N, C, H, W], uint8.
    """

    metadata: WeightsMetadata
    state: dict[str, Tensor]
    sample_images: Tensor


def save_weights(path: Path, network: nn.Module, metadata: WeightsMetadata, sample_images: Tensor) -> None:
    """Write a network's weights, metadata and sample images.

    Args:
        sample_images: Images [N, C, H, W], uint8, of the data set that the network was trained on.
    """
    state = {f"network.{name}": tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    entries = {
        "format": "nas-weights-1",
        "genome": metadata.genome.canonical_json,
        "facts": json.dumps(asdict(metadata.dataset)),
        "metrics": json.dumps(metadata.metrics),
        "scored_on": metadata.scored_on,
    }
    save_file({**state, _SAMPLES: sample_images.cpu().contiguous()}, str(path), entries)


def load_weights(path: Path) -> Weights:
    """Read a weights file.

    Raises:
        ModelFileError: The file is not a weights file, or is damaged.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            entries = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        metadata = WeightsMetadata(
            Genome.from_json(entries["genome"]),
            DatasetSummary.from_json(entries["facts"]),
            json.loads(entries["metrics"]),
            entries.get("scored_on", "validation"),
        )
        samples = tensors.pop(_SAMPLES)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: not a weights file of nas, or damaged ({error})") from error
    state = {name.removeprefix("network."): tensor for name, tensor in tensors.items()}
    return Weights(metadata, state, samples.to(torch.uint8))
