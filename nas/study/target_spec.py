"""Specification of the score that an answer must have: the `[target]` table of a study file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from nas.space.immutable_model import FrozenModel
from nas.study.score_definitions import MACRO_F1

DEFAULT_TOLERANCE = 0.01
"""Score that counts as equal: two trainings of one network from different seeds differ by about as much."""


class TargetSpec(FrozenModel):
    """Score at which the network of the lowest cost is searched for.

    Attributes:
        reference: `baseline` or a baseline's name for its score less the tolerance, `none` for no target; default:
            `baseline`, the first, where the study has one.
        tolerance: Score by which a network may be below the baseline; default: `DEFAULT_TOLERANCE`.
        macro_f1: The target itself, instead of a reference, of a study whose score is macro-F1.
        score: The same, of a study with another score.
        share: Share of the trials that are proposed, and stopped, for the smallest network at the target. The others
            are for the whole front.
    """

    reference: str | None = None
    tolerance: Annotated[float, Field(ge=0.0, lt=1.0)] | None = None
    macro_f1: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    score: Annotated[Annotated[float, Field(gt=0.0, le=1.0)] | None, Field(exclude_if=lambda score: score is None)] = (
        None
    )
    share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.7

    @model_validator(mode="after")
    def _check_keys(self) -> TargetSpec:
        given = [key for key in ("reference", "tolerance") if getattr(self, key) is not None]
        for key in ("macro_f1", "score"):
            if getattr(self, key) is not None and given:
                raise ValueError(f"{', '.join(given)}: not with {key}, which is the target itself")
        if self.reference == "none" and self.tolerance is not None:
            raise ValueError("tolerance: not with reference 'none'")
        return self

    def number_fault(self, score: str) -> str | None:
        """Return a fault if the target is a number of another score than the study's; else None."""
        key, other = ("macro_f1", "score") if score == MACRO_F1 else ("score", "macro_f1")
        if getattr(self, other) is None:
            return None
        return f"target.{other}: the study's score is {score}; write target.{key}"

    @property
    def number(self) -> float | None:
        """Target itself; None for one that follows from a reference."""
        return self.macro_f1 if self.score is None else self.score

    @property
    def margin(self) -> float:
        """Score subtracted from the baseline's."""
        return DEFAULT_TOLERANCE if self.tolerance is None else self.tolerance
