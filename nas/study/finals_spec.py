"""Finals as values: which networks are trained once more, from which seeds, with the choices of their search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from nas.space.frozen_model import FrozenModel
from nas.space.genome import Genome
from nas.space.recipe import Recipe


class ValidationChoices(FrozenModel):
    """What a training of the search chose by its validation images, for trainings that keep to it.

    Attributes:
        kept_epoch: The epoch that training ends with, where the recipe has patience (`early_stopping_patience`).
        tau: Of a τ-normalised classifier.
        posthoc_strength: Of the post-hoc adjustment.
    """

    kept_epoch: Annotated[int, Field(ge=0)] | None = None
    tau: float | None = None
    posthoc_strength: float | None = None

    @classmethod
    def of(cls, recipe: Recipe, figures: Mapping[str, float]) -> ValidationChoices:
        """Those that a recipe leaves to the validation images, by the figures of a trial (`nas.training.fit`)."""
        kept = figures.get("kept_epoch") if recipe.early_stopping_patience > 0 else None
        return cls(
            kept_epoch=None if kept is None else int(kept),
            tau=figures.get("tau"),
            posthoc_strength=figures.get("posthoc_strength"),
        )


class FinalRun(FrozenModel):
    """One training of the finals.

    Attributes:
        finalist: What is trained, the same name for all its seeds.
        trial: Its number in the study.
        seed: Of weights, shuffling and augmentation.
    """

    finalist: str
    trial: int
    is_baseline: bool
    seed: int
    genome: Genome
    choices: ValidationChoices

    @property
    def identity(self) -> tuple[str, int]:
        """No two runs have the same."""
        return self.finalist, self.seed


class FinalsSpec(FrozenModel):
    """The finals of a study, which are a study themselves: the run of a place is the trial of that slot.

    Attributes:
        study: Whose finals they are.
        runs: The first is of whom the others are compared with: the baseline, or a grid's first setting. More are only
            ever added at the end.
    """

    study: str
    runs: tuple[FinalRun, ...]

    @property
    def finalists(self) -> dict[str, FinalRun]:
        """The first run of each, by its name, in their order."""
        firsts: dict[str, FinalRun] = {}
        for run in self.runs:
            firsts.setdefault(run.finalist, run)
        return firsts
