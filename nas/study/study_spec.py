"""Study specification: data, budget, sampler, training and baseline of one search or grid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from nas.space.architecture import PretrainedArchitecture
from nas.space.augmentation_policy_parser import flips
from nas.space.genome import Genome
from nas.space.immutable_model import FrozenModel, PositiveInt
from nas.space.search_space import SearchSpace
from nas.study.baseline_spec import BaselineSpec
from nas.study.data_spec import CHARACTER_SOURCES, DataSpec
from nas.study.final_runs import FinalsSpec
from nas.study.grid_spec import GridPoint, GridSpec, Parameters

Objective = Literal["macro_f1", "params"]
PrecisionName = Literal["auto", "float32", "bfloat16"]


class BudgetSpec(FrozenModel):
    """Budget of a study.

    Attributes:
        trials: Number of trials without the baseline; for finals the number of all runs.
        epochs: Passes over the training images, for each trial and the baseline.
        max_params: Maximum number of parameters; larger networks are not trained.
    """

    trials: PositiveInt
    epochs: PositiveInt
    max_params: PositiveInt | None = None


class SamplerSpec(FrozenModel):
    """Sampler of genomes.

    Attributes:
        name: `forest` is fitted to all learning curves (`nas.search.sampling.forest_sampler`); `tpe`, `nsga2` and
            `grid` are Optuna's samplers.
        startup_trials: Size of the initial design: the smallest genome of each family, then random genomes.
    """

    name: Literal["forest", "tpe", "nsga2", "random", "grid"] = "forest"
    startup_trials: Annotated[int, Field(ge=0)] = 6


class EarlyStoppingSpec(FrozenModel):
    """Early stopping of trials dominated by trials of equal or smaller size (`nas.search.early_stopping_rule`).

    Attributes:
        enabled: True to stop dominated trials.
        reduction: η. A trial far behind continues if its macro-F1 is among the best 1/η. η is also the ratio of the
            epochs of successive rungs.
        grace_epochs: Epoch of the first rung; default: 1/η² of the budget's epochs, rounded up.
    """

    enabled: bool = True
    reduction: Annotated[int, Field(ge=2)] = 3
    grace_epochs: PositiveInt | None = None


class TrainingSpec(FrozenModel):
    """Training settings shared by all trials of a study.

    Attributes:
        seed: Seed of weights, shuffling and augmentation.
        precision: Arithmetic of training; `auto` is bfloat16 if the device supports it.
        deterministic: True for bitwise reproducible weights on the CPU, with one thread per trial; on a GPU as far
            as its libraries allow.
    """

    seed: int = 0
    precision: PrecisionName = "auto"
    deterministic: bool = False


class StudySpec(FrozenModel):
    """Complete specification of one search, grid or finals study, as used by a worker.

    Attributes:
        objectives: Objectives of Optuna's study: macro-F1 only, or macro-F1 and the number of parameters. The
            displayed Pareto front always has both.
        search_space: Tables of the search-space file; None for a grid.
        genome: Tables of the genome that a grid's options are merged over; None for a search.
        grid: Dimensions of a grid; the budget has one trial per point.
        finals: Final runs, if the study is the finals study of another study.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    description: str = ""
    # Not strict, because TOML gives a list.
    objectives: Annotated[tuple[Objective, ...], Field(strict=False)] = ("macro_f1", "params")
    data: DataSpec
    budget: BudgetSpec
    sampler: SamplerSpec = SamplerSpec()
    early_stopping: EarlyStoppingSpec = EarlyStoppingSpec()
    training: TrainingSpec = TrainingSpec()
    baseline: BaselineSpec = BaselineSpec()
    finals: FinalsSpec | None = None
    search_space: dict[str, Any] | None = None
    genome: dict[str, Any] | None = None
    grid: GridSpec | None = None

    @model_validator(mode="after")
    def _check_search_or_grid(self) -> StudySpec:
        faults = [*self._kind_faults(), *self._objective_faults()]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _kind_faults(self) -> Iterator[str]:
        if self.grid is None:
            if self.search_space is None:
                yield "search_space: missing"
            if self.genome is not None:
                yield "genome: only with [grid]; a search has a search_space"
            if self.sampler.name == "grid":
                yield "sampler.name: 'grid' needs a table [grid]"
            return
        if self.search_space is not None:
            yield "search_space: not with [grid], whose genomes are those of [genome] and its options"
        if self.sampler.name != "grid":
            yield f"sampler.name: 'grid' where there is a [grid], not {self.sampler.name!r}"
        if self.early_stopping.enabled:
            yield "early_stopping.enabled: not for a grid, whose settings are all trained to the end"
        if self.finals is None and self.budget.trials != self.grid.size:
            yield f"budget.trials: the grid has {self.grid.size} points, not {self.budget.trials}; leave it out"
        if self.grid.folds is not None and self.data.long_tail is not None:
            yield "grid.folds: not with data.long_tail, which the validation images do not have"
        faults = self.grid.faults(self.genome or {})
        yield from faults
        if not faults and len(self.pretrained_networks) > 1:
            yield f"one pretrained network a study, not {' and '.join(self.pretrained_networks)}"

    def _objective_faults(self) -> Iterator[str]:
        if self.objectives not in (("macro_f1",), ("macro_f1", "params")):
            yield 'objectives: ["macro_f1"] or ["macro_f1", "params"]'
        elif len(self.objectives) == 1 and self.sampler.name in ("forest", "nsga2"):
            yield f"objectives: {self.sampler.name} weighs macro-F1 against size; with one objective use tpe or random"

    @property
    def space(self) -> SearchSpace:
        """Parsed search space; not available for a grid."""
        assert self.search_space is not None, "a grid has no search space"
        return SearchSpace.parse(self.search_space, f"search space of study {self.name!r}")

    def with_precision(self, precision: PrecisionName) -> StudySpec:
        """Return the specification with another precision of its trainings."""
        return self.model_copy(update={"training": self.training.model_copy(update={"precision": precision})})

    @property
    def counts_baseline(self) -> bool:
        """True if the budget's trials include the baseline, as in a finals study; else it is an additional trial."""
        return self.finals is not None

    @property
    def max_seed(self) -> int:
        """Largest seed of the study's trainings."""
        return max((self.training.seed, *(() if self.grid is None else self.grid.seeds)))

    def grid_point(self, chosen: Parameters) -> GridPoint:
        """Build the grid point of one value per dimension."""
        assert self.grid is not None
        return self.grid.point(self.genome or {}, chosen)

    def grid_genomes(self) -> Iterator[Genome]:
        """Yield the genome of each setting of a grid; nothing for a search."""
        if self.grid is not None:
            for setting in self.grid.settings():
                yield self.grid.genome(self.genome or {}, setting)

    @property
    def pretrained_networks(self) -> tuple[str, ...]:
        """Names of the networks with pretrained weights, without repetition."""
        baseline = [self.baseline.genome] if self.baseline.enabled else []
        architectures = [genome.architecture for genome in (*baseline, *self.grid_genomes())]
        pretrained = [item for item in architectures if isinstance(item, PretrainedArchitecture)]
        return tuple(dict.fromkeys(architecture.network for architecture in pretrained))

    @property
    def families(self) -> tuple[str, ...]:
        """Families of the networks that may be trained, without repetition."""
        if self.grid is None:
            return self.space.families
        return tuple(dict.fromkeys(genome.family for genome in self.grid_genomes()))

    def augmentations(self) -> frozenset[str]:
        """All augmentation policies of the study."""
        if self.grid is None:
            return self.space.augmentations()
        return frozenset(genome.recipe.augmentation for genome in self.grid_genomes())

    def flip_faults(self) -> list[str]:
        """Return a one-line fault if a policy mirrors images of characters; else an empty list."""
        policies = sorted(policy for policy in self.augmentations() if flips(policy))
        if self.data.source not in CHARACTER_SOURCES or not policies:
            return []
        where = "search_space" if self.grid is None else "genome"
        return [
            f"{where}: recipe.augmentation may be {policies[0]!r}, but a mirrored character is another character "
            f"or none; take flips out for source {self.data.source!r}"
        ]

    def notes(self) -> list[str]:
        """List valid but possibly unexpected settings, one line each."""
        if self.grid is not None:
            return []
        notes = self.space.notes()
        recipe, epochs = self.space.recipe, self.budget.epochs
        for gene, effect in (
            ("early_stopping_patience", "stop any training"),
            ("plateau_patience", "lower any learning rate"),
        ):
            longest = recipe.domain(gene)[1].highest
            if gene in recipe.domains and longest >= epochs:
                notes.append(f"recipe.{gene}: {longest} epochs of patience cannot {effect} in {epochs} epochs")
        grace = self.early_stopping.grace_epochs or 0
        if self.early_stopping.enabled and grace >= epochs:
            notes.append(f"early_stopping.grace_epochs: after {grace} epochs of grace none of {epochs} is left to save")
        return notes

    def differences(self, other: StudySpec) -> list[str]:
        """List the keys with different values, one line each, except the number of trials, which may be raised."""
        stored, given = _flatten(self.model_dump(mode="json")), _flatten(other.model_dump(mode="json"))
        stored.pop("budget.trials"), given.pop("budget.trials")
        return [
            f"{key}: {stored.get(key, 'absent')} there, {given.get(key, 'absent')} here"
            for key in sorted(stored.keys() | given.keys())
            if stored.get(key) != given.get(key)
        ]


def _flatten(tables: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested tables to one level of dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        flat.update(_flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat
