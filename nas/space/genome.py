"""Genomes: immutable pairs of an architecture and a training recipe, with a canonical key.

Genes without effect cannot occur (`nas.space.architecture`, `nas.space.recipe`). This module does not import torch.
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
    ReferenceArchitecture,
    TorchvisionArchitecture,
    branch_of,
    family_name,
)
from nas.space.immutable_model import FrozenModel
from nas.space.published_networks import has_normalization
from nas.space.recipe import Recipe
from nas.space.reference_models import FileArchitecture, NumberArchitecture


class Genome(FrozenModel):
    """Network architecture and its training recipe."""

    architecture: Architecture
    recipe: Recipe = Recipe()

    @model_validator(mode="after")
    def _check_consistency(self) -> Genome:
        faults = auxiliary_faults(self.architecture, self.recipe) + optimizer_faults(self.architecture, self.recipe)
        if isinstance(self.architecture, PretrainedArchitecture):
            faults += frozen_conflicts(self.architecture, self.recipe)
        penalty = self.recipe.orthogonality.name
        if isinstance(branch_of(self.architecture), MlpArchitecture) and penalty in ("convolution", "kernel"):
            faults.append(f"orthogonality {penalty!r} with an mlp: it has no convolution; use 'linear'")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def family(self) -> str:
        """Name of the architecture family (`family_name`)."""
        return family_name(self.architecture)

    @property
    def canonical_json(self) -> str:
        """Compact JSON with sorted keys and without absent genes; equal genomes have equal text."""
        return json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True, separators=(",", ":"))

    @property
    def key(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
        return hashlib.sha256(self.canonical_json.encode()).hexdigest()[:16]

    @classmethod
    def from_json(cls, text: str) -> Genome:
        """Parse the text of `canonical_json`.

        Raises:
            pydantic.ValidationError: The text is not a genome.
        """
        return _GENOME.validate_json(text)


def frozen_conflicts(architecture: PretrainedArchitecture, recipe: Recipe) -> list[str]:
    """List the recipe options that a frozen trunk does not allow, one line each."""
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
    if architecture.frozen and recipe.distillation.needs_teacher:
        faults.append(
            f"distillation {recipe.distillation.name!r} with a frozen trunk: its head is trained on features, which a "
            "teacher cannot see; use 'none', or train the trunk as well"
        )
    return faults


def optimizer_faults(architecture: Architecture, recipe: Recipe) -> list[str]:
    """List options of the optimiser without effect on an architecture, one line each."""
    faults = []
    if recipe.norm_rate_factor > 1.0 and not trains_normalization(architecture):
        faults.append(
            f"norm_rate_factor {recipe.norm_rate_factor:g} with a network that trains no normalisation; use 1, or "
            "normalization = 'batch'"
        )
    frozen = isinstance(architecture, PretrainedArchitecture) and architecture.frozen and not architecture.head_widths
    if recipe.optimizer == "muon" and frozen:
        faults.append(
            "optimizer 'muon' with a frozen trunk and no hidden layer: it is for hidden layers, and only the "
            "classifier is trained; use 'adamw'"
        )
    return faults


def trains_normalization(architecture: Architecture) -> bool:
    """Return True if a network has trained normalisation layers."""
    match branch_of(architecture):
        case MlpArchitecture() | FileArchitecture() | NumberArchitecture():
            return False
        case PretrainedArchitecture(frozen=frozen, network=network):
            return not frozen and has_normalization(network)
        case TorchvisionArchitecture(network=network):
            return has_normalization(network)
        case ReferenceArchitecture():
            return True
        case convolutional:
            return convolutional.normalization != "none"


def auxiliary_faults(architecture: Architecture, recipe: Recipe) -> list[str]:
    """List auxiliary losses without classifiers and auxiliary classifiers without a loss, one line each."""
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
    """List mismatches between an architecture and data of single or paired images, one line each.

    Args:
        are_pairs: True if each example is a pair of images.
    """
    if isinstance(architecture, PairArchitecture) and not are_pairs:
        return ["a pair architecture takes pairs of images, and these are single ones; add [data.pairs]"]
    if isinstance(architecture, PretrainedArchitecture | TorchvisionArchitecture) and are_pairs:
        return [f"{family_name(architecture)} takes one image, not a pair; remove it, or [data.pairs]"]
    return []


_GENOME: TypeAdapter[Genome] = TypeAdapter(Genome)
