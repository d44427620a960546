"""Optuna's grid sampler with the points assigned by budget slots."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.samplers import GridSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from nas.search.storage.grid_trial_attributes import dimension_values
from nas.study.grid_spec import GridSpec


class SlotGridSampler(GridSampler):
    """Optuna's grid sampler with the grid point from the trial's attributes.

    Optuna's own assignment may propose a point twice to concurrent workers, so that the grid takes more trials than it
    has points. It also stops the study's loop after the last point.
    """

    def __init__(self, grid: GridSpec) -> None:
        super().__init__(dimension_values(grid), seed=0)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Do nothing: the budget ends the study, not the sampler."""


def suggest_point(trial: Trial, grid: GridSpec) -> dict[str, str | int]:
    """Suggest the values of a trial's grid point as its parameters."""
    point: dict[str, str | int] = {}
    for name, values in dimension_values(grid).items():
        point[name] = trial.suggest_categorical(name, values)  # type: ignore[assignment]
    return point
