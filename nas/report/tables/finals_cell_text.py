"""Texts for results of a finals study, shared by the terminal and reports."""

from __future__ import annotations

from nas.finals.finalist_result import FinalistResult
from nas.finals.paired_comparison import Difference
from nas.results.seed_spread import Spread


def finalist_title(one: FinalistResult) -> str:
    """Name and family of a finalist."""
    return f"{one.name} ({one.family})"


def interval_text(spread: Spread) -> str:
    """Confidence interval; empty for a single seed."""
    return "" if spread.low is None else f"{spread.low:.3f} to {spread.high:.3f}"


def seeds_text(one: FinalistResult) -> str:
    """Number of seeds of a finalist; a model file is scored once."""
    return "scored once" if one.is_scored_once else str(len(one.records))


def difference_text(difference: Difference | None, separator: str = ", ") -> str:
    """Difference from the reference and its confidence interval; empty without a difference."""
    if difference is None:
        return ""
    return f"{difference.mean:+.3f}{separator}{difference.low:+.3f} to {difference.high:+.3f}"
