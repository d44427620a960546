"""Mean, standard deviation and confidence interval of a score over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """Mean, standard deviation and confidence interval of a score over seeds.

    Attributes:
        mean: Mean over the seeds.
        sd: Sample standard deviation (n - 1); None for a single seed.
        low: Lower end of the 95 % confidence interval of the mean; None for a single seed.
        high: Upper end of the interval; None for a single seed.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        return self.text()

    def text(self, digits: int = 3) -> str:
        """Format as mean ± standard deviation."""
        return f"{self.mean:.{digits}f}" + ("" if self.sd is None else f" ± {self.sd:.{digits}f}")

    @classmethod
    def of(cls, scores: Sequence[float]) -> Spread:
        """Compute the spread of scores, with a Student t interval (n - 1 degrees of freedom) clipped to [0, 1]."""
        mean = float(np.mean(scores))
        if len(scores) < 2:
            return cls(mean, None, None, None)
        # Imported here, because the import of scipy would slow down every command.
        from scipy import stats

        sd = float(np.std(scores, ddof=1))
        half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(scores) - 1)) * sd / math.sqrt(len(scores))
        return cls(mean, sd, max(0.0, mean - half), min(1.0, mean + half))
