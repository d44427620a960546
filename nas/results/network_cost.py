"""Parameters and FLOPs of a network, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        params: All parameters.
        flops: Of one image's forward pass; a multiply-add counts as one, as fvcore counts.
        trained_params: Those that are trained, where the others are frozen; None where all are.
    """

    params: int
    flops: int
    trained_params: int | None = None

    @property
    def params_in_words(self) -> str:
        """The number of parameters, and how many are trained where that is not all."""
        trained = "" if self.trained_params is None else f", {self.trained_params:,} of them trained"
        return f"{self.params:,} parameters{trained}"
