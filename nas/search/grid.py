"""Optuna's grid sampler behind a budget of leases: which point is whose is settled by the slot, not by the sampler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.samplers import GridSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from nas.grid import GridSpec

_POINT, _SPACE = "grid_id", "search_space"


class SlotGridSampler(GridSampler):
    """Optuna's, which gives a trial the values of the point that is noted with it.

    By itself it may propose a point twice where several ask at once, so that the grid takes more trials than it has
    points; and it ends the loop that it believes to be in once the last one is told.
    """

    def __init__(self, grid: GridSpec) -> None:
        super().__init__(_values(grid), seed=0)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """The budget ends a study."""


def point_attributes(grid: GridSpec, index: int) -> dict[str, Any]:
    """What is noted of a trial for the sampler: which of the grid's points it is, from 0."""
    return {_POINT: index, _SPACE: _values(grid)}


def choose(trial: Trial, grid: GridSpec) -> dict[str, str | int]:
    """The values of a trial's point, which become its parameters."""
    chosen: dict[str, str | int] = {}
    for name, values in _values(grid).items():
        chosen[name] = trial.suggest_categorical(name, values)  # type: ignore[assignment]
    return chosen


def _values(grid: GridSpec) -> dict[str, list[str | int]]:
    """Of each dimension, as optuna stores them."""
    return {name: list(values) for name, values in grid.parameters.items()}


def chosen_point(trial: FrozenTrial) -> Mapping[str, str | int]:
    """The values of a stored trial's point; empty where it is of no grid, or has none yet."""
    return trial.params if _POINT in trial.system_attrs else {}
