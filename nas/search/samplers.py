"""Optuna's samplers by the names that a study file uses."""

from __future__ import annotations

from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from typing_extensions import assert_never

from nas.study_spec import SamplerSpec


def make_sampler(spec: SamplerSpec) -> BaseSampler:
    """A sampler of its own for each worker; unseeded, since workers with one seed repeat each other's proposals."""
    match spec.name:
        case "tpe":
            return TPESampler(n_startup_trials=spec.startup_trials)
        case "nsga2":
            return NSGAIISampler(population_size=max(2, spec.startup_trials))
        case "random":
            return RandomSampler()
        case _:
            assert_never(spec.name)
