"""Genomes: frozen values that name one network and one way to train it, with a canonical key.

A gene that has no effect is absent by construction (`nas.space.architecture`, `nas.space.recipe`). Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json

from pydantic import TypeAdapter, model_validator

from nas.space.architecture import (
    Architecture,
    MlpArchitecture,
    PairArchitecture,
    PretrainedArchitecture,
    branch_of,
    family_name,
)
from nas.space.frozen_model import FrozenModel
from nas.space.recipe import Recipe


class Genome(FrozenModel):
    """One network and the recipe that trains it."""

    architecture: Architecture
    recipe: Recipe = Recipe()

    @model_validator(mode="after")
    def _parts_agree(self) -> Genome:
        faults = auxiliary_faults(self.architecture, self.recipe)
        if isinstance(self.architecture, PretrainedArchitecture):
            faults += frozen_conflicts(self.architecture, self.recipe)
        form = self.recipe.orthogonality.name
        if isinstance(branch_of(self.architecture), MlpArchitecture) and form in ("convolution", "kernel"):
            faults.append(f"orthogonality {form!r} with an mlp: it has no convolution; use 'linear'")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def family(self) -> str:
        """As `family_name`."""
        return family_name(self.architecture)

    @property
    def canonical_json(self) -> str:
        """JSON without spaces, keys sorted, absent genes left out: equal genomes give equal text."""
        return json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True, separators=(",", ":"))

    @property
    def key(self) -> str:
        """The first 16 hexadecimal digits of the canonical JSON's SHA-256."""
        return hashlib.sha256(self.canonical_json.encode()).hexdigest()[:16]

    @classmethod
    def from_json(cls, text: str) -> Genome:
        """Read what `canonical_json` wrote.

        Raises:
            pydantic.ValidationError: The text is not a genome.
        """
        return _GENOME.validate_json(text)


def frozen_conflicts(architecture: PretrainedArchitecture, recipe: Recipe) -> list[str]:
    """What a recipe asks of a frozen trunk in vain, one line an option."""
    faults = []
    if architecture.frozen and recipe.augmentation != "none":
        faults.append(
            f"augmentation {recipe.augmentation!r} with a frozen trunk: its features are computed once, of the images "
            "as they are; use 'none', or train the trunk as well"
        )
    if architecture.frozen and recipe.orthogonality.name in ("convolution", "kernel"):
        faults.append(
            f"orthogonality {recipe.orthogonality.name!r} with a frozen trunk: no convolution is trained; use 'linear'"
        )
    return faults


def auxiliary_faults(architecture: Architecture, recipe: Recipe) -> list[str]:
    """Where an auxiliary loss has no classifier, or a classifier no loss, one line each."""
    has_classifiers = isinstance(architecture, PairArchitecture) and architecture.auxiliary
    if recipe.auxiliary_weight > 0.0 and not has_classifiers:
        return [
            f"auxiliary_weight {recipe.auxiliary_weight:g} without classifiers of both images' classes; "
            "only a pair architecture with auxiliary = true has them"
        ]
    if has_classifiers and recipe.auxiliary_weight == 0.0:
        return ["auxiliary = true with auxiliary_weight 0: its classifiers are not trained; give them a weight"]
    return []


def pair_faults(architecture: Architecture, *, are_pairs: bool) -> list[str]:
    """What an architecture needs of the data and they are not, one line each.

    Args:
        are_pairs: Whether each image is a pair.
    """
    if isinstance(architecture, PairArchitecture) and not are_pairs:
        return ["a pair architecture takes pairs of images, and these are single ones; add [data.pairs]"]
    if isinstance(architecture, PretrainedArchitecture) and are_pairs:
        return [f"{architecture.family} takes one image, not a pair; remove it, or [data.pairs]"]
    return []


_GENOME: TypeAdapter[Genome] = TypeAdapter(Genome)
