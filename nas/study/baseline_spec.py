"""Specification of the baseline network: the `[baseline]` table of a study file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from nas.space.architecture import PretrainedArchitecture, ReferenceArchitecture
from nas.space.convolutional_architecture import Width
from nas.space.genome import Genome, auxiliary_faults, frozen_conflicts
from nas.space.immutable_model import FrozenModel, PositiveInt
from nas.space.recipe import Recipe

FINE_TUNING_RATE = 3e-4
"""Default peak learning rate for fine-tuning all layers; a higher rate destroys the pretrained weights."""

_PRETRAINED_FAMILIES: Mapping[
    Literal["resnet18", "resnet50"], Literal["pretrained_resnet18", "pretrained_resnet50"]
] = {"resnet18": "pretrained_resnet18", "resnet50": "pretrained_resnet50"}


class BaselineSpec(FrozenModel):
    """Baseline of the Pareto front, trained on the same splits as the trials.

    Attributes:
        enabled: False to train no baseline; trials are then compared only with each other.
        network: Published name of the network; ResNet-50 only with `pretrained`.
        pretrained: True for ImageNet weights and images resized to 224×224 pixels; False for random initialisation
            and a stem for small images.
        frozen: True to freeze the pretrained trunk and train a new head only.
        head_widths: Widths of the new head's hidden layers; only with `pretrained`.
        epochs: Epochs of its training; default: those of the trials.
        recipe: Training recipe. The default learning rate is `FINE_TUNING_RATE` if a pretrained trunk is trained.
    """

    enabled: bool = True
    network: Literal["resnet18", "resnet50"] = "resnet18"
    pretrained: bool = False
    frozen: bool = False
    # Not strict, because TOML gives a list; the validator below has processed the table before.
    head_widths: Annotated[tuple[Width, ...], Field(strict=False)] = ()
    epochs: PositiveInt | None = None
    recipe: Recipe = Recipe(posthoc_adjustment=True)

    @model_validator(mode="before")
    @classmethod
    def _with_fine_tuning_rate(cls, table: Any) -> Any:
        if not isinstance(table, dict) or table.get("pretrained") is not True or table.get("frozen", False):
            return table
        recipe = table.get("recipe", {"posthoc_adjustment": True})
        return {
            **table,
            "recipe": {"learning_rate": FINE_TUNING_RATE, **recipe} if isinstance(recipe, dict) else recipe,
        }

    @model_validator(mode="after")
    def _check_keys(self) -> BaselineSpec:
        faults = [
            f"{key}: only with pretrained = true; remove it, or add that"
            for key, is_set in (("frozen", self.frozen), ("head_widths", bool(self.head_widths)))
            if is_set and not self.pretrained
        ]
        if self.network != "resnet18" and not self.pretrained:
            faults.append(f"network {self.network!r}: only with pretrained = true; add that, or take 'resnet18'")
        faults += auxiliary_faults(self.architecture, self.recipe)
        if isinstance(self.architecture, PretrainedArchitecture):
            faults += frozen_conflicts(self.architecture, self.recipe)
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def architecture(self) -> ReferenceArchitecture | PretrainedArchitecture:
        """Architecture of the baseline."""
        if not self.pretrained:
            return ReferenceArchitecture()
        return PretrainedArchitecture(
            family=_PRETRAINED_FAMILIES[self.network], frozen=self.frozen, head_widths=self.head_widths
        )

    @property
    def genome(self) -> Genome:
        """Genome of the baseline."""
        return Genome(architecture=self.architecture, recipe=self.recipe)
