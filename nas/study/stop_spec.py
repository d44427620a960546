"""Specification of the conditions that end a search before its budget is spent: the `[stop]` table of a study file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field

from nas.space.immutable_model import FrozenModel, PositiveInt
from nas.study.cost_definitions import PARAMS, cost_definition


class StopSpec(FrozenModel):
    """Conditions that end a search before its budget is spent; the first that holds ends it.

    Unlike the rest of a specification they may be changed while the study exists.

    Attributes:
        at_params: The target is reached by a network of at most so many parameters.
        at_cost: The target is reached by a network of at most this cost, in the unit of the study's cost.
        trials_without_improvement: So many trials have ended since the answer, or without one the front, improved.
        minutes_without_improvement: So many minutes of search have passed since then, see `nas.search.improvement`.
    """

    at_params: PositiveInt | None = None
    at_cost: Annotated[
        Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None, Field(exclude_if=lambda cost: cost is None)
    ] = None
    trials_without_improvement: PositiveInt | None = None
    minutes_without_improvement: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None

    @property
    def is_given(self) -> bool:
        """True if there is a condition."""
        return self != StopSpec()

    def faults(self, *, has_target: bool, limits: Mapping[str, float], cost: str) -> Iterator[str]:
        """Yield what contradicts the rest of a search's specification, one line each."""
        for key, name in (("at_params", PARAMS), ("at_cost", cost)):
            at, limit = getattr(self, key), limits.get(name)
            if at is None:
                continue
            if not has_target:
                yield f"stop.{key}: the study has no target; add [target] macro_f1 = …, or a baseline"
            elif limit is not None and at > limit:
                number = cost_definition(name).number
                yield (
                    f"stop.{key}: {number(at)} is above budget.max_{name} = {number(limit)}, so any network at "
                    "the target would end the search; lower it"
                )

    def thresholds(self, cost: str) -> Iterator[tuple[str, str, float]]:
        """Yield the key, the cost and the value at which the target's network ends the search.

        Args:
            cost: Name of the cost that the study minimises.
        """
        for key, name in (("at_params", PARAMS), ("at_cost", cost)):
            if getattr(self, key) is not None:
                yield key, name, float(getattr(self, key))
