"""Parameters and FLOPs of a network, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """Parameters and FLOPs of a network.

    Attributes:
        params: Number of all parameters.
        flops: FLOPs of one image's forward pass; a multiply-add counts as one, as in fvcore.
        trained_params: Number of trained parameters if the others are frozen; None if all are trained.
    """

    params: int
    flops: int
    trained_params: int | None = None

    @property
    def params_text(self) -> str:
        """Text form of the number of parameters, with the number of trained ones if some are frozen."""
        trained = "" if self.trained_params is None else f", {self.trained_params:,} of them trained"
        return f"{self.params:,} parameters{trained}"
