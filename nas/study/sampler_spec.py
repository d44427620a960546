"""Specification of the sampler of genomes: the `[sampler]` table of a study file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nas.space.immutable_model import FrozenModel


class SamplerSpec(FrozenModel):
    """Sampler of genomes.

    Attributes:
        name: `forest` is fitted to all learning curves (`nas.search.sampling.forest_sampler`); `tpe`, `nsga2` and
            `grid` are Optuna's samplers.
        startup_trials: Number of trials before the sampler fits its model: start genomes or the initial design, then
            random genomes.
        initial_design: False to begin without the initial design (`nas.search.sampling.initial_genomes`), which start
            genomes replace in any case.
    """

    name: Literal["forest", "tpe", "nsga2", "random", "grid"] = "forest"
    startup_trials: Annotated[int, Field(ge=0)] = 6
    initial_design: bool = True
