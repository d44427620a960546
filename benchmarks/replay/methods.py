"""The searches that are compared."""

from __future__ import annotations

from dataclasses import replace

from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from nas.search.sampling.forest_sampler import ForestSampler
from nas.search.sampling.initial_design import initial_parameters
from nas.study.study_spec import SamplerSpec
from replay.simulation import Method
from replay.table import Table

PLAIN = [
    Method("random", lambda seed, table: RandomSampler(seed=seed)),
    Method("nsga2", lambda seed, table: NSGAIISampler(seed=seed)),
    Method("tpe", lambda seed, table: TPESampler(seed=seed)),
]
"""As a user would write them: every trial in full."""


def _forest(seed: int, table: Table) -> BaseSampler:
    """As `nas.search.sampling.sampler_factory` makes it, with a seed."""
    return ForestSampler(table.space, startup_trials=SamplerSpec().startup_trials, seed=seed)


SERVICE = Method(
    "service", _forest, first=lambda table: initial_parameters(table.space), reuses=True, stops=True
)  # fmt: skip
"""As a study does by default."""

WITHOUT = [
    replace(SERVICE, name="every trial in full", stops=False),
    replace(SERVICE, name="families, then random", first=lambda table: [{"family": f} for f in table.space.families]),
    replace(
        SERVICE,
        name="tpe for the forest",
        sampler=lambda seed, table: TPESampler(n_startup_trials=SamplerSpec().startup_trials, seed=seed),
    ),
    replace(SERVICE, name="random for the forest", sampler=lambda seed, table: RandomSampler(seed=seed)),
]
"""The service with one thing taken from it."""
