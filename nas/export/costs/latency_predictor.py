"""Predictor of latency: a sum over kinds of layers with non-negative coefficients.

The time of a network follows from its layers, multiply-adds and moved elements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.export.costs.layer_features import Features

Floats = NDArray[np.float64]

_RIDGE = 1e-3
"""Share of the largest singular value, below which coefficients are drawn to 0."""


@dataclass(frozen=True)
class LatencyPredictor:
    """Predictor of milliseconds.

    Attributes:
        coefficients: Milliseconds for each unit of a feature; features that are missing count nothing.
        constant: Milliseconds of a network without layers.
    """

    coefficients: Mapping[str, float]
    constant: float

    @classmethod
    def fit(cls, features: Sequence[Features], latencies_ms: Sequence[float]) -> LatencyPredictor:
        """Fit the coefficients to measured networks, by the least squares of relative errors."""
        from scipy.optimize import nnls

        names = sorted({name for one in features for name in one})
        table = np.array([[one.get(name, 0.0) for name in names] + [1.0] for one in features])
        measured = np.array(latencies_ms)
        rows = table / measured[:, None]
        scale = np.maximum(np.linalg.norm(rows, axis=0), 1e-12)
        ridge = _RIDGE * np.sqrt(len(features)) * np.eye(len(scale))
        solution, _ = nnls(np.r_[rows / scale, ridge], np.r_[np.ones(len(rows)), np.zeros(len(scale))])
        *coefficients, constant = (solution / scale).tolist()
        kept = {name: value for name, value in zip(names, coefficients, strict=True) if value > 0.0}
        return cls(kept, constant)

    def predict(self, features: Sequence[Features]) -> list[float]:
        """Return the predicted milliseconds of networks."""
        return [
            self.constant + sum(self.coefficients.get(name, 0.0) * value for name, value in one.items())
            for one in features
        ]

    def as_json(self) -> dict[str, Any]:
        """JSON values, from which `from_json` makes an equal predictor."""
        return {"coefficients": dict(self.coefficients), "constant": self.constant}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> LatencyPredictor:
        """Read a predictor of `as_json`."""
        return cls(dict(values["coefficients"]), float(values["constant"]))
