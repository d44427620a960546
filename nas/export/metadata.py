"""What an exported file says of itself."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from typing import Any

import torch

import nas
from nas.data.appearance import Appearance
from nas.export.model_file import FORMAT
from nas.training.weights import Weights


@dataclass(frozen=True)
class Origin:
    """Where a network comes from.

    Attributes:
        fitted: Whether the images it learnt from were brought to its size, as a folder of photos is.
    """

    study: str
    trial: int
    fitted: bool


def describe(weights: Weights, origin: Origin) -> dict[str, Any]:
    """The metadata of a file, ready for JSON."""
    blueprint = weights.blueprint
    facts = blueprint.facts
    return {
        "format": FORMAT,
        "classes": facts.classes,
        "input": {
            "shape": ["N", facts.channels, facts.height, facts.width],
            "type": "uint8",
            "range": [0, 255],
        },
        "training_images": {
            "data": facts.name,
            "mean": facts.mean,
            "std": facts.std,
            "fitted": origin.fitted,
            **asdict(Appearance.of(weights.sample_images.numpy())),
        },
        "genome": blueprint.genome.model_dump(mode="json", exclude_none=True),
        "metrics": blueprint.metrics,
        "scored_on": blueprint.scored_on,
        "study": origin.study,
        "trial": origin.trial,
        "versions": {"nas": nas.__version__, "torch": torch.__version__, "python": platform.python_version()},
    }
