"""Specification of the conditions that end a search before its budget is spent: the `[stop]` table of a study file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from nas.space.immutable_model import FrozenModel, PositiveInt


class StopSpec(FrozenModel):
    """Conditions that end a search before its budget is spent; the first that holds ends it.

    Unlike the rest of a specification they may be changed while the study exists.

    Attributes:
        at_params: The target is reached by a network of at most so many parameters.
        trials_without_improvement: So many trials have ended since the answer, or without one the front, improved.
        minutes_without_improvement: So many minutes of search have passed since then, see `nas.search.improvement`.
    """

    at_params: PositiveInt | None = None
    trials_without_improvement: PositiveInt | None = None
    minutes_without_improvement: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None

    @property
    def is_given(self) -> bool:
        """True if there is a condition."""
        return self != StopSpec()

    def faults(self, *, has_target: bool, max_params: int | None) -> Iterator[str]:
        """Yield what contradicts the rest of a search's specification, one line each."""
        if self.at_params is None:
            return
        if not has_target:
            yield "stop.at_params: the study has no target; add [target] macro_f1 = …, or a baseline"
        elif max_params is not None and self.at_params > max_params:
            yield (
                f"stop.at_params: {self.at_params:,} is above budget.max_params = {max_params:,}, so any network at "
                "the target would end the search; lower it"
            )
