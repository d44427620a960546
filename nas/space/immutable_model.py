"""Base class of immutable specifications."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(ge=1)]


class FrozenModel(BaseModel):
    """Immutable pydantic model with strict types and no unknown keys, compared by content."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ser_json_inf_nan="constants")
