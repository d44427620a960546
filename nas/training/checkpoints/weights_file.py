"""Weights files: safetensors with all that is needed to rebuild and check the network.

Beside the weights a file holds a few real validation images, so that an export can be checked on images
where the data set is not at hand.
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
    """What a weights file says of its network.

    Attributes:
        metrics: Averages by name.
        scored_on: The split that they are of.
    """

    genome: Genome
    facts: DatasetSummary
    metrics: dict[str, float]
    scored_on: str = "validation"


@dataclass(frozen=True)
class Weights:
    """A weights file, read.

    Attributes:
        state: The network's state by name.
        sample_images: Validation images [N, C, H, W], uint8.
    """

    blueprint: WeightsMetadata
    state: dict[str, Tensor]
    sample_images: Tensor


def save_weights(path: Path, network: nn.Module, blueprint: WeightsMetadata, sample_images: Tensor) -> None:
    """Write a network's weights with its blueprint.

    Args:
        sample_images: Images [N, C, H, W], uint8, of the data it was trained on.
    """
    state = {f"network.{name}": tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    metadata = {
        "format": "nas-weights-1",
        "genome": blueprint.genome.canonical_json,
        "facts": json.dumps(asdict(blueprint.facts)),
        "metrics": json.dumps(blueprint.metrics),
        "scored_on": blueprint.scored_on,
    }
    save_file({**state, _SAMPLES: sample_images.cpu().contiguous()}, str(path), metadata)


def load_weights(path: Path) -> Weights:
    """Read a weights file.

    Raises:
        ModelFileError: It is not one, or is damaged.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        blueprint = WeightsMetadata(
            Genome.from_json(metadata["genome"]),
            DatasetSummary.from_json(metadata["facts"]),
            json.loads(metadata["metrics"]),
            metadata.get("scored_on", "validation"),
        )
        samples = tensors.pop(_SAMPLES)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: not a weights file of nas, or damaged ({error})") from error
    state = {name.removeprefix("network."): tensor for name, tensor in tensors.items()}
    return Weights(blueprint, state, samples.to(torch.uint8))
