"""Differences between the tables of two specifications, one line each."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


def table_differences(
    stored_tables: dict[str, Any], given_tables: dict[str, Any], movable: Collection[str] = ()
) -> list[str]:
    """List the keys with different values, one line each, except the number of trials, which may change.

    Args:
        movable: Further keys that may change.
    """
    stored, given = _flatten(stored_tables), _flatten(given_tables)
    stored.pop("budget.trials"), given.pop("budget.trials")
    return [
        _difference(key, stored.get(key, "absent"), given.get(key, "absent"))
        for key in sorted(stored.keys() | given.keys())
        if stored.get(key) != given.get(key) and key not in movable
    ]


def _difference(key: str, stored: Any, given: Any) -> str:
    if key != "start":
        return f"{key}: {stored} there, {given} here"
    # Whole genomes would take a screen.
    return f"start: {len(stored)} start genomes there, {len(given)}{' others' * (len(given) == len(stored))} here"


def _flatten(tables: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested tables to one level of dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        flat.update(_flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat
