"""Specification of the teacher of recipes with distillation: the `[distillation]` table of a study file."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator

from nas.space.immutable_model import FrozenModel

BASELINE = "baseline"


class TrialReference(FrozenModel):
    """Trial of another study in the same database.

    Attributes:
        study: Name of the study.
        trial: Number of the trial, whose weights must be stored.
    """

    study: str
    trial: Annotated[int, Field(ge=0)]

    def __str__(self) -> str:
        return f"trial {self.trial} of {self.study!r}"


class DistillationSpec(FrozenModel):
    """Teacher of a study.

    Attributes:
        teacher: `baseline` for the study's own reference, or another baseline's name, which is then trained before any
            trial; or a trial of another study.
    """

    teacher: str | TrialReference | None = None

    @field_validator("teacher", mode="before")
    @classmethod
    def _check_teacher(cls, teacher: Any) -> Any:
        if teacher is None or isinstance(teacher, str):
            return teacher
        try:
            return TrialReference.model_validate(teacher)
        except ValidationError:
            raise ValueError(
                f'"{BASELINE}", or a trial of another study: {{ study = "NAME", trial = NUMBER }}, or the name of a '
                "baseline"
            ) from None
