"""Grid points of stored trials, in the attributes that Optuna's grid sampler uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.trial import FrozenTrial

from nas.study.grid_spec import GridSpec

_POINT, _SPACE = "grid_id", "search_space"


def point_attributes(grid: GridSpec, index: int) -> dict[str, Any]:
    """What is noted of a trial for the sampler: which of the grid's points it is, from 0."""
    return {_POINT: index, _SPACE: dimension_values(grid)}


def dimension_values(grid: GridSpec) -> dict[str, list[str | int]]:
    """Of each dimension, as optuna stores them."""
    return {name: list(values) for name, values in grid.parameters.items()}


def chosen_point(trial: FrozenTrial) -> Mapping[str, str | int]:
    """The values of a stored trial's point; empty where it is of no grid, or has none yet."""
    return trial.params if _POINT in trial.system_attrs else {}
