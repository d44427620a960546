"""Specification of image pairs and their relation: the `[data.pairs]` table of a study file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from nas.space.immutable_model import FrozenModel

Relation = Literal["larger", "same"]
NumPairs = Annotated[int, Field(ge=1)]

_CLASSES: Mapping[Relation, tuple[str, str]] = {
    "larger": ("first is not larger", "first is larger"),
    "same": ("different", "same"),
}


class PairsSpec(FrozenModel):
    """Pairing of the images of each part.

    Attributes:
        relation: `larger`: the first image's class comes after the second's in the order of classes. `same`: both
            images have the same class, as is the case for half of the pairs.
        train: Number of training pairs; default: half the number of images, so that each image is in one pair.
        validation: Number of validation pairs; default as for `train`.
        test: Number of test pairs; default as for `train`.
    """

    relation: Relation = "larger"
    train: NumPairs | None = None
    validation: NumPairs | None = None
    test: NumPairs | None = None

    @property
    def classes(self) -> tuple[str, str]:
        """Names of the two relation classes, by label."""
        return _CLASSES[self.relation]
