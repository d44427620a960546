"""Specification of a finals study: finalists, seeds and the hyperparameters fixed by the search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from pydantic import Field

from nas.space.genome import Genome
from nas.space.immutable_model import FrozenModel
from nas.space.recipe import Recipe


class ValidationChoices(FrozenModel):
    """Hyperparameters that a trial of the search chose on its validation images, for reuse in final runs.

    Attributes:
        kept_epoch: Last epoch of training, if the recipe has an `early_stopping_patience`.
        tau: τ of a τ-normalised classifier.
        posthoc_strength: Strength of the post-hoc adjustment.
    """

    kept_epoch: Annotated[int, Field(ge=0)] | None = None
    tau: float | None = None
    posthoc_strength: float | None = None

    @classmethod
    def of(cls, recipe: Recipe, figures: Mapping[str, float]) -> ValidationChoices:
        """Extract the choices that depend on validation images from the figures of a trial (`nas.training.fit`)."""
        kept = figures.get("kept_epoch") if recipe.early_stopping_patience > 0 else None
        return cls(
            kept_epoch=None if kept is None else int(kept),
            tau=figures.get("tau"),
            posthoc_strength=figures.get("posthoc_strength"),
        )


class FinalRun(FrozenModel):
    """One training of the finals.

    Attributes:
        finalist: Name of the finalist, equal for all its seeds.
        trial: Number of the finalist's trial in the study.
        seed: Seed of weights, shuffling and augmentation.
        epochs: Epochs of another baseline that is trained for others than the finalists; None for theirs.
    """

    finalist: str
    trial: int
    is_baseline: bool
    seed: int
    genome: Genome
    choices: ValidationChoices
    epochs: Annotated[int | None, Field(ge=1, exclude_if=lambda value: value is None)] = None

    @property
    def identity(self) -> tuple[str, int]:
        """Unique key of the run: finalist and seed."""
        return self.finalist, self.seed


class FinalsSpec(FrozenModel):
    """Finals study of a study; each run is the trial of the slot with the same index.

    Attributes:
        study: Name of the searched study.
        runs: Final runs. The first one belongs to the reference of the comparisons: the baseline, or a grid's first
            setting. New runs are appended only.
        sequence: Numbers of the finalists' trials in the order of their tests. Empty for a grid, and in finals of
            versions that tested in no order.
        looks: Numbers of seeds at which a finalist of the sequence is tested: that of the first call, then those that
            it was raised to.
        first_seed: First of these seeds; the others follow it.
        awaits_finalists: True while only the baseline is trained, beside a search that goes on.
    """

    study: str
    runs: tuple[FinalRun, ...]
    sequence: tuple[int, ...] = ()
    looks: tuple[Annotated[int, Field(ge=1)], ...] = ()
    first_seed: int = 0
    awaits_finalists: bool = False

    @property
    def finalists(self) -> dict[str, FinalRun]:
        """First run of each finalist by name, in the order of the runs."""
        firsts: dict[str, FinalRun] = {}
        for run in self.runs:
            firsts.setdefault(run.finalist, run)
        return firsts

    def seeds_of(self, look: int) -> range:
        """Seeds of a test."""
        return range(self.first_seed, self.first_seed + look)

    def with_runs(self, runs: Iterable[FinalRun]) -> FinalsSpec:
        """Return the specification with the runs that it lacks appended."""
        known = {run.identity for run in self.runs}
        new = {run.identity: run for run in runs if run.identity not in known}
        return self.model_copy(update={"runs": (*self.runs, *new.values())})

    def with_sequence(self, sequence: Sequence[int]) -> FinalsSpec:
        """Return the specification with the finalists that it awaited."""
        return self.model_copy(update={"sequence": tuple(sequence), "awaits_finalists": False})

    def with_look(self, num_seeds: int) -> FinalsSpec:
        """Return the specification with the number of seeds raised to this one, if it is larger."""
        if num_seeds <= max(self.looks, default=0):
            return self
        return self.model_copy(update={"looks": (*self.looks, num_seeds)})


def finalist_name(trial: int) -> str:
    """Name of a trial of a search as a finalist."""
    return f"trial {trial}"
