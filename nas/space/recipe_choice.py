"""Base of the recipe's choices: one of several named options with its own parameters only.

This module does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import model_validator

from nas.space.immutable_model import FrozenModel

Parameters = Mapping[str, Mapping[str, float]]
Reasons = Mapping[tuple[str, str], str]


class Choice(FrozenModel):
    """One of several named options with its own parameters only; omitted parameters get their defaults.

    A string is accepted as the name of an option with default parameters.

    Attributes:
        PARAMETERS: Parameters of each option with their defaults.
        REASONS: Reasons for the absence of a parameter that an option might be expected to take.
    """

    PARAMETERS: ClassVar[Parameters]
    REASONS: ClassVar[Reasons] = {}

    name: str

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        table = {"name": given} if isinstance(given, str) else given
        if not isinstance(table, dict):
            return given
        name = table.get("name", cls.model_fields["name"].default)
        defaults = cls.PARAMETERS.get(name, {}) if isinstance(name, str) else {}
        return {**defaults, **{key: value for key, value in table.items() if value is not None}}

    @model_validator(mode="after")
    def _check_parameters(self) -> Choice:
        if self.name not in self.PARAMETERS:
            kind = type(self).__name__.lower()
            raise ValueError(f"unknown {kind} {self.name!r}; known: {', '.join(self.PARAMETERS)}")
        for parameter in self.model_fields_set - {"name"} - self.PARAMETERS[self.name].keys():
            reason = self.REASONS.get((self.name, parameter))
            raise ValueError(f"{self.name} takes no {parameter}" + (f": {reason}" if reason else ""))
        return self

    @classmethod
    def takes(cls, gene: str) -> bool:
        """Return True if a gene is a parameter of an option."""
        return any(gene in parameters for parameters in cls.PARAMETERS.values())

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of this option by name."""
        return {name: getattr(self, name) for name in self.PARAMETERS[self.name]}

    def parameter(self, name: str) -> Any:
        """Value of one parameter.

        Raises:
            KeyError: This option has no parameter of that name.
        """
        return self.parameters[name]
