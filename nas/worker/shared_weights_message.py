"""Elastic network of a training, as a part of the message that requests it. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nas.space.elastic_space import ElasticSpace
from nas.study.shared_weights_spec import SandwichSpec


@dataclass(frozen=True)
class SharedWeights:
    """Elastic network of a training.

    Attributes:
        elastic: Architectures that share its weights.
        sandwich: Slices that its training trains beside the largest network.
        weights: File of its weights; None to train it.
        is_fine_tuned: True to train a slice from these weights; else it is scored with them.
    """

    elastic: ElasticSpace
    sandwich: SandwichSpec
    weights: Path | None = None
    is_fine_tuned: bool = False

    @property
    def identity(self) -> str:
        """Part of the name of a training, which its checkpoints hold."""
        return f"elastic-{self.elastic.smallest.key}" if self.weights is None else self.weights.stem
