"""`[shared_weights]`: elastic networks of which the trials of a search are slices."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nas.space.immutable_model import FrozenModel

Imitation = Literal["cross_entropy", "alpha_divergence"]


class SandwichSpec(FrozenModel):
    """Slices that each step of an elastic training trains beside the largest network.

    Attributes:
        random_slices: Number of random slices a step, beside the smallest.
        imitation: Loss of a slice against the largest network.
    """

    random_slices: Annotated[int, Field(ge=0, le=8)] = 2
    imitation: Imitation = "cross_entropy"
