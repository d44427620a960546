"""Baselines of a study: what its networks have to beat, its target, and its teacher."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from nas.space.immutable_model import FrozenModel
from nas.space.reference_models import FileArchitecture
from nas.study.baseline_spec import BaselineSpec
from nas.study.baseline_tables import NO_REFERENCE
from nas.study.budget_spec import BudgetSpec
from nas.study.distillation_spec import BASELINE, DistillationSpec
from nas.study.plugin_spec import PluginSpec
from nas.study.target_spec import TargetSpec


class StudyBaselines(FrozenModel):
    """Part of a study's specification with its baselines, and what refers to them.

    Attributes:
        plugins: Modules with losses and block families of the user.
        baseline: Reference of the target, and what the finals compare with. In a file there may be several
            `[[baseline]]` tables, of which the target names the reference; default: the first.
        other_baselines: The others, which are trained or scored as well.
    """

    # Before everything in which their parts occur.
    plugins: Annotated[tuple[PluginSpec, ...], Field(strict=False, exclude_if=lambda plugins: not plugins)] = ()
    budget: BudgetSpec
    baseline: BaselineSpec = BaselineSpec()
    other_baselines: Annotated[tuple[BaselineSpec, ...], Field(strict=False, exclude_if=lambda tables: not tables)] = ()
    target: TargetSpec = TargetSpec()
    distillation: DistillationSpec = DistillationSpec()

    def baseline_faults(self) -> Iterator[str]:
        """Yield the faults of names and references among the baselines."""
        titles = [one.title for one in self.baselines]
        if self.other_baselines:
            if len(titles) <= len(self.other_baselines):
                yield "baseline.enabled: not with several [[baseline]] tables; remove a table instead"
            for title in dict.fromkeys(titles):
                if titles.count(title) > 1:
                    yield f"baseline: two are called {title!r}; give each a name"
        reserved = [title for title in titles if title in (BASELINE, NO_REFERENCE)]
        if reserved:
            yield f"baseline.name: not {reserved[0]!r}, which has another meaning for the target"
        reference = self.target.reference
        if reference not in (None, BASELINE, NO_REFERENCE, *titles):
            yield f"target.reference: no baseline {reference!r}; {BASELINE!r}, {NO_REFERENCE!r} or one of {titles}"
        pretrained = dict.fromkeys(one.network for one in self.baselines if one.pretrained)
        if len(pretrained) > 1:
            yield f"baseline: one pretrained network a study, not {' and '.join(map(str, pretrained))}"

    @property
    def baselines(self) -> tuple[BaselineSpec, ...]:
        """All baselines, the reference first; empty if it is disabled."""
        return (self.baseline, *self.other_baselines) if self.baseline.enabled else self.other_baselines

    @property
    def teacher_baseline(self) -> BaselineSpec | None:
        """Baseline that is the teacher of the trials; None without one."""
        teacher = self.distillation.teacher
        if not isinstance(teacher, str):
            return None
        if teacher == BASELINE:
            return self.baseline if self.baseline.enabled else None
        return next((one for one in self.baselines if one.title == teacher), None)

    @property
    def teacher_file(self) -> FileArchitecture | None:
        """Model file that is the teacher of the trials; None without one."""
        architecture = self.teacher_baseline.architecture if self.teacher_baseline is not None else None
        return architecture if isinstance(architecture, FileArchitecture) else None

    def other_baseline(self, title: str) -> BaselineSpec:
        """Return a baseline that is not the reference, by its title."""
        return next(one for one in self.other_baselines if one.title == title)

    @property
    def own_baseline_epochs(self) -> int | None:
        """Epochs of a baseline that is trained for other epochs than the trials; else None."""
        own = self.baseline.epochs if self.baseline.enabled else None
        return None if own == self.budget.epochs else own

    def epochs_of(self, *, is_baseline: bool) -> int:
        """Return the epochs of a training."""
        return (self.own_baseline_epochs if is_baseline else None) or self.budget.epochs
