"""Grid points of stored trials, in the attributes that Optuna's grid sampler uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.trial import FrozenTrial

from nas.study.grid_spec import GridSpec

_POINT, _SPACE = "grid_id", "search_space"


def point_attributes(grid: GridSpec, index: int) -> dict[str, Any]:
    """System attributes that assign a grid point to a trial; points are counted from 0."""
    return {_POINT: index, _SPACE: dimension_values(grid)}


def dimension_values(grid: GridSpec) -> dict[str, list[str | int]]:
    """Return the values of each dimension as lists, as Optuna stores them."""
    return {name: list(values) for name, values in grid.parameters.items()}


def grid_point_of(trial: FrozenTrial) -> Mapping[str, str | int]:
    """Return the values of a stored trial's grid point; empty outside a grid, or before they are sampled."""
    return trial.params if _POINT in trial.system_attrs else {}
