"""Specification of the behaviour of workers: the `[worker]` table of a study file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nas.space.immutable_model import FrozenModel

_MINUTES_OF_A_WEEK = 7 * 24 * 60


class WorkerSpec(FrozenModel):
    """Behaviour of the workers of a study. Like `[stop]` it may be changed while the study exists.

    Attributes:
        patience: Minutes that a worker waits for a database that is away or read-only before it ends; 0 to end at once.
    """

    patience: Annotated[float, Field(ge=0.0, le=_MINUTES_OF_A_WEEK, allow_inf_nan=False)] = 5.0

    @property
    def max_outage_seconds(self) -> float:
        """Longest outage of the database that a worker waits for."""
        return 60.0 * self.patience
