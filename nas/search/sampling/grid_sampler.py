"""Optuna's grid sampler with the points assigned by budget slots."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.samplers import GridSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from nas.search.storage.grid_points import dimension_values
from nas.study.grid_spec import GridSpec


class SlotGridSampler(GridSampler):
    """Optuna's, which gives a trial the values of the point that is noted with it.

    By itself it may propose a point twice where several ask at once, so that the grid takes more trials than it has
    points; and it ends the loop that it believes to be in once the last one is told.
    """

    def __init__(self, grid: GridSpec) -> None:
        super().__init__(dimension_values(grid), seed=0)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """The budget ends a study."""


def choose(trial: Trial, grid: GridSpec) -> dict[str, str | int]:
    """The values of a trial's point, which become its parameters."""
    chosen: dict[str, str | int] = {}
    for name, values in dimension_values(grid).items():
        chosen[name] = trial.suggest_categorical(name, values)  # type: ignore[assignment]
    return chosen
