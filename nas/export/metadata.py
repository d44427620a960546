"""What an exported file says of itself."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from typing import Any

import torch

import nas
from nas.data.foreground_polarity import ForegroundPolarity
from nas.export.inference.exported_model import FORMAT
from nas.results.dataset_summary import DatasetSummary
from nas.training.checkpoints.weights_file import Weights


@dataclass(frozen=True)
class Origin:
    """Where a network comes from.

    Attributes:
        fitted: Whether the images it learnt from were brought to its size, as a folder of photos is.
        shrink: How many times smaller each side of them was made after that, by means of squares.
    """

    study: str
    trial: int
    fitted: bool
    shrink: int = 1


def input_shape(facts: DatasetSummary) -> tuple[int, ...]:
    """Of one input of an exported file: an image [C, H, W], or two of them [2, C, H, W]."""
    if facts.is_pair:
        return 2, facts.channels // 2, facts.height, facts.width
    return facts.channels, facts.height, facts.width


def export_metadata(weights: Weights, origin: Origin) -> dict[str, Any]:
    """The metadata of a file, ready for JSON."""
    metadata = weights.metadata
    facts = metadata.dataset
    shape = input_shape(facts)
    # Each image by itself, also where they come in pairs.
    samples_NCHW = weights.sample_images.numpy().reshape(-1, *shape[-3:])
    return {
        "format": FORMAT,
        "classes": facts.classes,
        **({"part_classes": facts.part_classes} if facts.is_pair else {}),
        "input": {
            "kind": "pair" if facts.is_pair else "image",
            "shape": ["N", *shape],
            "type": "uint8",
            "range": [0, 255],
        },
        "training_images": {
            "data": facts.name,
            "mean": facts.mean,
            "std": facts.std,
            "fitted": origin.fitted,
            "shrink": origin.shrink,
            **asdict(ForegroundPolarity.of(samples_NCHW)),
        },
        "genome": metadata.genome.model_dump(mode="json", exclude_none=True),
        "metrics": metadata.metrics,
        "scored_on": metadata.scored_on,
        "study": origin.study,
        "trial": origin.trial,
        "versions": {"nas": nas.__version__, "torch": torch.__version__, "python": platform.python_version()},
    }
