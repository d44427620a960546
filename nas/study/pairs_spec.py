"""The `[data.pairs]` table of a study file: images taken two by two, and what is asked of the two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from nas.space.frozen_model import FrozenModel

Relation = Literal["larger", "same"]
NumPairs = Annotated[int, Field(ge=1)]

_CLASSES: Mapping[Relation, tuple[str, str]] = {
    "larger": ("first is not larger", "first is larger"),
    "same": ("different", "same"),
}


class PairsSpec(FrozenModel):
    """How the images of each part become pairs.

    Attributes:
        relation: `larger`: is the first image's class later in the order of classes than the second's? `same`: are both
            of one class? Half of those pairs are.
        train: Pairs for training; default: half as many as there are images, so that each is in one.
        validation: Likewise.
        test: Likewise.
    """

    relation: Relation = "larger"
    train: NumPairs | None = None
    validation: NumPairs | None = None
    test: NumPairs | None = None

    @property
    def classes(self) -> tuple[str, str]:
        """The answers, by their label."""
        return _CLASSES[self.relation]
