"""What a study is: data, budget, sampler, training and baseline of one search or grid, checked as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from nas.space.architecture import PretrainedArchitecture
from nas.space.augmentation_policy import flips
from nas.space.frozen_model import FrozenModel, PositiveInt
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace
from nas.study.baseline_spec import BaselineSpec
from nas.study.data_spec import CHARACTER_SOURCES, DataSpec
from nas.study.finals_spec import FinalsSpec
from nas.study.grid_spec import GridPoint, GridSpec, Parameters

Objective = Literal["macro_f1", "params"]


class BudgetSpec(FrozenModel):
    """What a study may spend.

    Attributes:
        trials: Genomes to try, the baseline not counted; of finals all runs.
        epochs: Passes over the training images, for every trial and the baseline alike.
        max_params: Genomes with more parameters are not trained.
    """

    trials: PositiveInt
    epochs: PositiveInt
    max_params: PositiveInt | None = None


class SamplerSpec(FrozenModel):
    """How genomes are proposed.

    Attributes:
        name: `forest` learns from every curve (`nas.search.sampling.forest_sampler`); `tpe`, `nsga2` and `grid` are optuna's.
        startup_trials: Genomes before the sampler learns: the smallest of each family, then random ones.
    """

    name: Literal["forest", "tpe", "nsga2", "random", "grid"] = "forest"
    startup_trials: Annotated[int, Field(ge=0)] = 6


class EarlyStoppingSpec(FrozenModel):
    """Whether a trial is stopped that falls behind others of its size or smaller (`nas.search.early_stopping_rule` says when).

    Attributes:
        reduction: η. A trial that is far behind goes on if its macro-F1 is among the best 1/η; also the factor between
            one comparison's epoch and the next one's.
        grace_epochs: The first comparison's epoch; default: 1/η² of the budget's epochs, rounded up.
    """

    enabled: bool = True
    reduction: Annotated[int, Field(ge=2)] = 3
    grace_epochs: PositiveInt | None = None


class TrainingSpec(FrozenModel):
    """What all trainings of the study share.

    Attributes:
        seed: Of weights, shuffling and augmentation.
        precision: Arithmetic of training; `auto` is bfloat16 where the device computes in it.
        deterministic: The same weights to the bit from every run on the CPU, with one thread for each trial; on a GPU
            as far as its libraries allow.
    """

    seed: int = 0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    deterministic: bool = False


class StudySpec(FrozenModel):
    """One search, whole: a worker needs nothing else.

    Attributes:
        objectives: What optuna is told: macro-F1 alone, or the number of parameters as well. The front that is shown
            has both in any case.
        search_space: The tables of the search-space file; None for a grid.
        genome: The tables of the genome that a grid's options change; None for a search.
        grid: What a grid varies; its points are the budget's trials.
        finals: What is trained, where the study is the finals of another.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    description: str = ""
    # Lists, as a study file has them.
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
    def _is_search_or_grid(self) -> StudySpec:
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
        """The search space, ready to sample; not for a grid."""
        assert self.search_space is not None, "a grid has no search space"
        return SearchSpace.parse(self.search_space, f"search space of study {self.name!r}")

    @property
    def counts_baseline(self) -> bool:
        """Whether trainings of the baseline are among the budget's trials, as in finals; else there is one beside."""
        return self.finals is not None

    @property
    def last_seed(self) -> int:
        """The highest that trainings begin from."""
        return max((self.training.seed, *(() if self.grid is None else self.grid.seeds)))

    def grid_point(self, chosen: Parameters) -> GridPoint:
        """The training of a grid at these values of its dimensions."""
        assert self.grid is not None
        return self.grid.point(self.genome or {}, chosen)

    def grid_genomes(self) -> Iterator[Genome]:
        """Of a grid, each combination of options; of a search none."""
        if self.grid is not None:
            for setting in self.grid.settings():
                yield self.grid.genome(self.genome or {}, setting)

    @property
    def pretrained_networks(self) -> tuple[str, ...]:
        """Names of those that begin with published weights, each once."""
        baseline = [self.baseline.genome] if self.baseline.enabled else []
        architectures = [genome.architecture for genome in (*baseline, *self.grid_genomes())]
        return tuple(dict.fromkeys(one.network for one in architectures if isinstance(one, PretrainedArchitecture)))

    @property
    def families(self) -> tuple[str, ...]:
        """Of the networks that may be trained, each once."""
        if self.grid is None:
            return self.space.families
        return tuple(dict.fromkeys(genome.family for genome in self.grid_genomes()))

    def augmentations(self) -> frozenset[str]:
        """Every augmentation policy that may be used."""
        if self.grid is None:
            return self.space.augmentations()
        return frozenset(genome.recipe.augmentation for genome in self.grid_genomes())

    def flip_faults(self) -> list[str]:
        """Why images may not be mirrored, one line; empty where they are not, or may be."""
        policies = sorted(policy for policy in self.augmentations() if flips(policy))
        if self.data.source not in CHARACTER_SOURCES or not policies:
            return []
        where = "search_space" if self.grid is None else "genome"
        return [
            f"{where}: recipe.augmentation may be {policies[0]!r}, but a mirrored character is another character "
            f"or none; take flips out for source {self.data.source!r}"
        ]

    def notes(self) -> list[str]:
        """What is defined, but might surprise the study's reader; one line each."""
        if self.grid is not None:
            return []
        notes = self.space.notes()
        recipe, epochs = self.space.recipe, self.budget.epochs
        for gene, does in (
            ("early_stopping_patience", "stop any training"),
            ("plateau_patience", "lower any learning rate"),
        ):
            longest = recipe.domain(gene)[1].highest
            if gene in recipe.domains and longest >= epochs:
                notes.append(f"recipe.{gene}: {longest} epochs of patience cannot {does} in {epochs} epochs")
        grace = self.early_stopping.grace_epochs or 0
        if self.early_stopping.enabled and grace >= epochs:
            notes.append(f"early_stopping.grace_epochs: after {grace} epochs of grace none of {epochs} is left to save")
        return notes

    def differences(self, other: StudySpec) -> list[str]:
        """The keys whose values differ, one line each, apart from the number of trials, which may be raised."""
        mine, others = _flat(self.model_dump(mode="json")), _flat(other.model_dump(mode="json"))
        mine.pop("budget.trials"), others.pop("budget.trials")
        return [
            f"{key}: {mine.get(key, 'absent')} there, {others.get(key, 'absent')} here"
            for key in sorted(mine.keys() | others.keys())
            if mine.get(key) != others.get(key)
        ]


def _flat(tables: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one level of dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat
