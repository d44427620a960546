"""Division of a study's trials among purposes."""

from __future__ import annotations

import math


def is_in_share(number: int, share: float) -> bool:
    """Return True if a trial belongs to a share of all trials, by its number from 0; the share is spread evenly."""
    return math.floor((number + 1) * share) > math.floor(number * share)
