"""Sampler factory: samplers by their name in a study file."""

from __future__ import annotations

from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from typing_extensions import assert_never

from nas.search.sampling.grid_sampler import SlotGridSampler
from nas.search.sampling.search_guidance import SearchGuidance
from nas.study.study_spec import StudySpec


def make_sampler(spec: StudySpec, guidance: SearchGuidance) -> BaseSampler:
    """Create the sampler of a worker; unseeded, since workers with equal seeds make equal proposals."""
    startup_trials = spec.sampler.startup_trials
    match spec.sampler.name:
        case "forest":
            # Imported here, since importing scikit-learn takes as long as the rest of a command.
            from nas.search.sampling.forest_sampler import ForestSampler

            return ForestSampler(
                spec.space, startup_trials=startup_trials, limits=spec.budget.limits, cost=spec.pair.cost,
                guidance=guidance, target_share=spec.target.share if spec.has_target else 0.0,
            )  # fmt: skip
        case "tpe":
            return TPESampler(n_startup_trials=startup_trials)
        case "nsga2":
            return NSGAIISampler(population_size=max(2, startup_trials))
        case "grid":
            assert spec.grid is not None, "checked with the specification"
            return SlotGridSampler(spec.grid)
        case "random":
            return RandomSampler()
        case _:
            assert_never(spec.sampler.name)
