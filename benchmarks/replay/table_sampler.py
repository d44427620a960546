"""Samplers that propose the trainings of a table, for tables of random genomes."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from nas.search.sampling.forest_sampler import ForestSampler
from nas.search.sampling.forest_surrogate import Candidate, Observation
from nas.search.sampling.search_guidance import SearchGuidance
from nas.search.target import Target
from nas.study.sampler_spec import SamplerSpec
from replay.table import Table, Training

_NUM_CANDIDATES = 80
"""As many as the forest sampler draws."""
_QUANTILES = (0.2, 0.5)
_SPREAD = 0.15


class TableSampler(ForestSampler):
    """Forest sampler whose candidates are random trainings of a table, each proposed once.

    Children of the front are not among them, since a table of random genomes lacks them.
    """

    def __init__(self, table: Table, seed: int, target_f1: float | None, *, startup_trials: int) -> None:
        target = None if target_f1 is None else Target(target_f1)
        super().__init__(
            table.space, startup_trials=startup_trials, seed=seed, guidance=SearchGuidance(target=lambda: target),
            target_share=0.0 if target is None else table.spec.target.share,
        )  # fmt: skip
        self._table = table

    def _propose(self, number: int, trials: Sequence[FrozenTrial]) -> Mapping[str, Any]:
        return super()._propose(number, trials) or self._random.choice(self._unused(trials)).parameters

    def _candidates(self, parents: Sequence[Observation], trials: Sequence[FrozenTrial]) -> list[Candidate]:
        unused = self._unused(trials)
        drawn = self._random.sample(unused, min(_NUM_CANDIDATES, len(unused)))
        return [Candidate(one.parameters, one.objectives.log10_cost) for one in drawn]

    def _unused(self, trials: Sequence[FrozenTrial]) -> list[Training]:
        used = {_identity(trial.params) for trial in trials}
        trainings = list(self._table.trainings.values())
        return [one for one in trainings if _identity(one.parameters) not in used] or trainings


def table_forest(seed: int, table: Table, target_f1: float | None) -> TableSampler:
    """Create the forest sampler with a study's default settings."""
    return TableSampler(table, seed, target_f1, startup_trials=SamplerSpec().startup_trials)


def table_random(seed: int, table: Table, target_f1: float | None) -> TableSampler:
    """Create random search without repetitions."""
    return TableSampler(table, seed, target_f1, startup_trials=sys.maxsize)


def table_design(seed: int, table: Table) -> list[Mapping[str, Any]]:
    """Return a small and a middling network of each family, drawn around two quantiles of its sizes.

    The initial design of a study is not in a table of random genomes; these have random recipes.
    """
    generator = table_random(seed, table, None)._random
    design: list[Mapping[str, Any]] = []
    for quantile in _QUANTILES:
        for family in table.space.families:
            members = sorted(
                (one for one in table.trainings.values() if one.family == family), key=lambda one: one.params
            )
            if members:
                low = round((quantile - _SPREAD) * (len(members) - 1))
                high = round((quantile + _SPREAD) * (len(members) - 1))
                design.append(generator.choice(members[low : high + 1]).parameters)
    return design


def _identity(parameters: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(parameters.items()))
