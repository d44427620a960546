"""Texts of finals shared by tables on the terminal and in reports."""

from __future__ import annotations

from nas.finals.finals_results import FinalistResult
from nas.finals.paired_bootstrap import Difference
from nas.results.seed_spread import Spread


def title_of(one: FinalistResult) -> str:
    """A finalist by its name and family."""
    return f"{one.name} ({one.family})"


def interval_text(spread: Spread) -> str:
    """The confidence interval; nothing of a single seed."""
    return "" if spread.low is None else f"{spread.low:.3f} to {spread.high:.3f}"


def difference_text(found: Difference | None, between: str = ", ") -> str:
    """The difference from the reference and its interval; nothing without one."""
    return "" if found is None else f"{found.mean:+.3f}{between}{found.low:+.3f} to {found.high:+.3f}"
