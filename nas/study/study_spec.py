"""Study specification: data, budget, sampler, training and baseline of one search or grid."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, field_validator, model_validator

from nas.space.architecture import PretrainedArchitecture
from nas.space.genome import Genome
from nas.space.reference_models import ReferenceModel
from nas.space.search_space import SearchSpace
from nas.study.baseline_tables import NO_REFERENCE, without_paths
from nas.study.cost_definitions import PARAMS
from nas.study.costs_spec import CostsSpec, ObjectivePair, measured_costs, objective_faults
from nas.study.data_spec import DataSpec
from nas.study.early_stopping_spec import EarlyStoppingSpec
from nas.study.final_runs import FinalsSpec
from nas.study.grid_spec import GridPoint, GridSpec, Parameters
from nas.study.length_notes import length_notes
from nas.study.sampler_spec import SamplerSpec
from nas.study.shared_weights_spec import SharedWeightsSpec
from nas.study.stop_spec import StopSpec
from nas.study.study_baselines import StudyBaselines
from nas.study.study_name import StudyName
from nas.study.table_differences import table_differences
from nas.study.target_spec import TargetSpec
from nas.study.training_spec import PrecisionName, TrainingSpec
from nas.study.worker_spec import WorkerSpec


class StudySpec(StudyBaselines):
    """Complete specification of one search, grid or finals study, as used by a worker.

    Attributes:
        objectives: Objectives of Optuna's study: a score, or a score and a cost. The displayed Pareto front always
            has both; the cost is the number of parameters unless another is named.
        costs: Conditions under which costs are measured.
        start: Genomes that are tried first, whole or in part (`nas.space.start_genomes`).
        start_from: Name of a study in the same database whose front is tried first.
        shared_weights: Elastic networks of which the trials are slices; None for trials that are trained one by one.
        search_space: Tables of the search-space file; None for a grid.
        genome: Tables of the genome that a grid's options are merged over; None for a search.
        grid: Dimensions of a grid; the budget has one trial per point.
        finals: Final runs, if the study is the finals study of another study.
    """

    name: StudyName
    description: str = ""
    # Not strict, because TOML gives a list.
    objectives: Annotated[tuple[str, ...], Field(strict=False)] = ObjectivePair()
    data: DataSpec
    costs: Annotated[CostsSpec, Field(exclude_if=lambda table: table == CostsSpec())] = CostsSpec()
    sampler: SamplerSpec = SamplerSpec()
    early_stopping: EarlyStoppingSpec = EarlyStoppingSpec()
    training: TrainingSpec = TrainingSpec()
    stop: StopSpec = StopSpec()
    worker: Annotated[WorkerSpec, Field(exclude_if=lambda table: table == WorkerSpec())] = WorkerSpec()
    start: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = ()
    start_from: str | None = None
    shared_weights: Annotated[SharedWeightsSpec | None, Field(exclude_if=lambda table: table is None)] = None
    finals: FinalsSpec | None = None
    search_space: dict[str, Any] | None = None
    genome: dict[str, Any] | None = None
    grid: GridSpec | None = None
    _unused_data_keys: tuple[str, ...] = PrivateAttr(())

    @field_validator("start", mode="before")
    @classmethod
    def _check_start(cls, tables: Any) -> Any:
        if isinstance(tables, dict):
            raise ValueError("one table; write [[start]], with double brackets, for each genome")
        return tables

    @model_validator(mode="after")
    def _check_search_or_grid(self) -> StudySpec:
        faults = [
            *self._kind_faults(), *self._objective_faults(), *self.baseline_faults(), *self._target_faults(),
            *self._shared_weights_faults(),
        ]  # fmt: skip
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _kind_faults(self) -> Iterator[str]:
        if self.start_from == self.name:
            yield "start_from: the study itself; name another one"
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
        for key in ("start", "start_from"):
            if getattr(self, key):
                yield f"{key}: not with [grid], whose settings are all trained"
        faults = self.grid.faults(self.genome or {})
        yield from faults
        if not faults and len(self.pretrained_networks) > 1:
            yield f"one pretrained network a study, not {' and '.join(self.pretrained_networks)}"

    def _target_faults(self) -> Iterator[str]:
        if self.grid is not None:
            for table, is_given in (("target", self.target != TargetSpec()), ("stop", self.stop.is_given)):
                if is_given:
                    yield f"{table}: not with [grid], whose points are all trained; remove it"
            return
        has_reference = self.target.reference not in (None, NO_REFERENCE)
        if not self.baseline.enabled and (has_reference or self.target.tolerance is not None):
            yield "target: the study has no baseline; give target.macro_f1, or enable the baseline"
        fault = self.target.number_fault(self.pair.score)
        yield from [] if fault is None else [fault]
        yield from self.stop.faults(has_target=self.has_target, limits=self.budget.limits, cost=self.pair.cost)

    def _shared_weights_faults(self) -> Iterator[str]:
        if self.shared_weights is None:
            return
        if self.grid is not None:
            yield "shared_weights: not with [grid], whose settings are all trained; remove it"
        if len(self.objectives) == 1:
            yield 'shared_weights: needs a score and a cost, such as objectives = ["macro_f1", "params"]'

    def _objective_faults(self) -> Iterator[str]:
        yield from objective_faults(self.objectives, self.costs, tuple(self.budget.limits))
        untrained = [one.title for one in self.baselines if isinstance(one.architecture, ReferenceModel)]
        if untrained and self.pair.cost != PARAMS:
            yield f"baseline: of {untrained[0]!r}, which is not trained here, {self.pair.cost} is unknown; remove it"
        if len(self.objectives) == 1 and self.sampler.name in ("forest", "nsga2"):
            yield f"objectives: {self.sampler.name} weighs a score against a cost; with one objective use tpe or random"

    @property
    def pair(self) -> ObjectivePair:
        """Score and cost by which networks are compared."""
        return ObjectivePair(*self.objectives[:2])

    @property
    def measured_costs(self) -> tuple[str, ...]:
        """Costs that every trial is measured for, beside parameters and FLOPs."""
        return measured_costs(self.pair, tuple(self.budget.limits))

    @property
    def has_target(self) -> bool:
        """True if the search looks for the smallest network at a score."""
        if self.grid is not None or self.finals is not None:
            return False
        return self.target.number is not None or (self.baseline.enabled and self.target.reference != NO_REFERENCE)

    @property
    def space(self) -> SearchSpace:
        """Parsed search space; not available for a grid."""
        assert self.search_space is not None, "a grid has no search space"
        return SearchSpace.parse(self.search_space, f"search space of study {self.name!r}")

    def with_precision(self, precision: PrecisionName) -> StudySpec:
        """Return the specification with another precision of its trainings."""
        return self.model_copy(update={"training": self.training.model_copy(update={"precision": precision})})

    def with_epochs(self, epochs: int) -> StudySpec:
        """Return the specification with the epochs that its budget's images or minutes are converted to."""
        return self.model_copy(update={"budget": self.budget.with_epochs(epochs)})

    def with_images_converted(self, num_train: int) -> StudySpec:
        """Return the specification with the epochs of its budget's images; see `BudgetSpec`."""
        return self.model_copy(update={"budget": self.budget.with_images_converted(num_train)})

    def with_trials(self, trials: int) -> StudySpec:
        """Return the specification with another number of trials."""
        return self.model_copy(update={"budget": self.budget.model_copy(update={"trials": trials})})

    @property
    def num_preliminary(self) -> int:
        """Number of trials before elastic networks are trained; 0 without shared weights."""
        shared = self.shared_weights
        return 0 if shared is None else shared.num_preliminary(len(self.space.families))

    @property
    def num_elastic(self) -> int:
        """Number of elastic networks."""
        return 0 if self.shared_weights is None else self.shared_weights.num_networks(len(self.space.families))

    @property
    def counts_baseline(self) -> bool:
        """True if the budget's trials include the baseline, as in a finals study; else it is an additional trial."""
        return self.finals is not None

    @property
    def trains_baseline_first(self) -> bool:
        """True if the baseline is the teacher of the trials, which start once it is trained."""
        return self.finals is None and self.teacher_baseline is not None

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
        architectures = [
            *(one.architecture for one in self.baselines), *(genome.architecture for genome in self.grid_genomes()),
        ]  # fmt: skip
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

    @property
    def has_distilled_trials(self) -> bool:
        """True if a trial's recipe may need a teacher."""
        if self.grid is None:
            return self.space.needs_teacher
        return any(genome.recipe.distillation.needs_teacher for genome in self.grid_genomes())

    def note_unused_data_keys(self, keys: Sequence[str]) -> None:
        """Record the keys of `[data]` that do not apply to the source that replaced the file's."""
        self._unused_data_keys = tuple(keys)

    @property
    def data_notes(self) -> list[str]:
        """Sentences on settings of the data that are not used; they are not stored with a study."""
        return [f"data.{key} is not used: it does not apply to {self.data.source}" for key in self._unused_data_keys]

    def notes(self) -> list[str]:
        """List valid but possibly unexpected settings, one line each."""
        if self.grid is not None:
            return self.data_notes
        grace = self.early_stopping.grace_epochs or 0 if self.early_stopping.enabled else 0
        return [*self.data_notes, *self.space.notes(), *length_notes(self.space.recipe, self.budget.epochs, grace)]

    def differences(self, other: StudySpec, movable: Collection[str] = ()) -> list[str]:
        """List the keys with different values, except those that may change (`updated_by`, and `movable`).

        The budget's images or minutes of the other specification need not be converted to epochs.
        """
        as_given = self.model_copy(update={"budget": self.budget.as_given_by(other.budget)})
        changeable: dict[str, Any] = {"stop": True, "worker": True, "plugins": {"__all__": {"file"}}}
        stored, given = (without_paths(spec.model_dump(mode="json", exclude=changeable)) for spec in (as_given, other))
        return table_differences(stored, given, movable)

    def updated_by(self, other: StudySpec) -> StudySpec:
        """Return this stored specification with what a new one may change.

        That is the number of trials, the stop conditions, the behaviour of workers and the place of the data.
        """
        budget = self.budget.model_copy(update={"trials": max(self.budget.trials, other.budget.trials)})
        return self.model_copy(
            update={"budget": budget, "stop": other.stop, "worker": other.worker, "data": other.data}
        )
