"""Specification of early stopping: the `[early_stopping]` table of a study file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nas.space.immutable_model import FrozenModel, PositiveInt


class EarlyStoppingSpec(FrozenModel):
    """Early stopping of trials dominated by trials of equal or smaller size (`nas.search.early_stopping_rule`).

    Attributes:
        enabled: True to stop dominated trials.
        reduction: η. A trial far behind continues if its macro-F1 is among the best 1/η. η is also the ratio of the
            epochs of successive rungs.
        grace_epochs: Epoch of the first rung; default: 1/η² of the budget's epochs, rounded up.
    """

    enabled: bool = True
    reduction: Annotated[int, Field(ge=2)] = 3
    grace_epochs: PositiveInt | None = None
