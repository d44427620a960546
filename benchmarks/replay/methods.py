"""Search methods of the comparison."""

from __future__ import annotations

from dataclasses import replace

from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from nas.search.sampling.forest_sampler import ForestSampler
from nas.search.sampling.initial_genomes import initial_parameters
from nas.study.sampler_spec import SamplerSpec
from replay.simulation import Method
from replay.stopping_rules import rule_of_0_1_0
from replay.table import Table

PLAIN = [
    Method("random", lambda seed, table, target_f1: RandomSampler(seed=seed)),
    Method("nsga2", lambda seed, table, target_f1: NSGAIISampler(seed=seed)),
    Method("tpe", lambda seed, table, target_f1: TPESampler(seed=seed)),
]
"""Plain use of Optuna's samplers, with every trial trained in full."""


def _forest(seed: int, table: Table, target_f1: float | None) -> BaseSampler:
    """Forest sampler as created by `nas.search.sampling.sampler_factory`, with a seed."""
    return ForestSampler(table.space, startup_trials=SamplerSpec().startup_trials, seed=seed)


SERVICE = Method(
    "service", _forest, initial=lambda seed, table: initial_parameters(table.space), reuses=True, rule=rule_of_0_1_0
)  # fmt: skip
"""Default settings of a study."""

ABLATIONS = [
    replace(SERVICE, name="every trial in full", rule=None),
    replace(
        SERVICE, name="families, then random", initial=lambda seed, table: [{"family": f} for f in table.space.families]
    ),
    replace(
        SERVICE,
        name="tpe for the forest",
        sampler=lambda seed, table, target_f1: TPESampler(n_startup_trials=SamplerSpec().startup_trials, seed=seed),
    ),
    replace(SERVICE, name="random for the forest", sampler=lambda seed, table, target_f1: RandomSampler(seed=seed)),
]
"""Ablations: the service without one of its parts."""
