"""The `[baseline]` table of a study file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from nas.space.architecture import PretrainedArchitecture, ReferenceArchitecture, Width
from nas.space.frozen_model import FrozenModel
from nas.space.genome import Genome, auxiliary_faults, frozen_conflicts
from nas.space.recipe import Recipe

FINE_TUNING_RATE = 3e-4
"""The default peak learning rate of a pretrained network that is trained whole; a higher one undoes its weights."""

_PRETRAINED_FAMILIES: Mapping[
    Literal["resnet18", "resnet50"], Literal["pretrained_resnet18", "pretrained_resnet50"]
] = {"resnet18": "pretrained_resnet18", "resnet50": "pretrained_resnet50"}


class BaselineSpec(FrozenModel):
    """The network that the front is compared with, trained on the same splits for the same epochs.

    Attributes:
        enabled: Whether it is trained at all; where not, a study's trials are compared with each other alone.
        network: Its published name; a ResNet-50 only with `pretrained`.
        pretrained: Whether it begins with ImageNet weights, and sees the images at 224×224 pixels; else it begins
            afresh, with a stem for small images.
        frozen: Whether the pretrained trunk stays as it is and a new head alone is trained.
        head_widths: Of the new head's hidden layers; only with `pretrained`.
        recipe: Where the whole pretrained network is trained, `FINE_TUNING_RATE` is the default learning rate.
    """

    enabled: bool = True
    network: Literal["resnet18", "resnet50"] = "resnet18"
    pretrained: bool = False
    frozen: bool = False
    # Lists, as a study file has them; the table has gone through the validator below by then.
    head_widths: Annotated[tuple[Width, ...], Field(strict=False)] = ()
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
    def _keys_agree(self) -> BaselineSpec:
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
        """The network in a genome's terms."""
        if not self.pretrained:
            return ReferenceArchitecture()
        return PretrainedArchitecture(
            family=_PRETRAINED_FAMILIES[self.network], frozen=self.frozen, head_widths=self.head_widths
        )

    @property
    def genome(self) -> Genome:
        """What is trained."""
        return Genome(architecture=self.architecture, recipe=self.recipe)
