"""Costs of a network, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nas.study.cost_definitions import FLOPS, PARAMS


@dataclass(frozen=True)
class Cost:
    """Parameters and FLOPs of a network, and the further costs that its study names.

    Attributes:
        params: Number of all parameters.
        flops: FLOPs of one image's forward pass; a multiply-add counts as one, as in fvcore.
        trained_params: Number of trained parameters if the others are frozen; None if all are trained.
        measured: Further costs by name (`nas.study.cost_definitions`).
    """

    params: int
    flops: int
    trained_params: int | None = None
    measured: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        """Return a cost by its name.

        Raises:
            KeyError: It was not measured.
        """
        return {PARAMS: self.params, FLOPS: self.flops, **self.measured}[name]

    def is_within(self, limits: Mapping[str, float]) -> bool:
        """Return True if no cost is above its limit; raises as `__getitem__` does."""
        return all(self[name] <= limit for name, limit in limits.items())

    @property
    def params_text(self) -> str:
        """Text form of the number of parameters, with the number of trained ones if some are frozen."""
        trained = "" if self.trained_params is None else f", {self.trained_params:,} of them trained"
        return f"{self.params:,} parameters{trained}"
