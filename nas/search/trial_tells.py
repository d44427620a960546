"""Telling a study how its trials ended. Every tell may be repeated, and waits out an outage of the database."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial, TrialState

from nas.results.network_cost import Cost
from nas.results.outcome import Completed, Failed, Infeasible, Stopped
from nas.search.pareto_front import Objectives, pareto_front
from nas.search.storage.optuna_storage import Storage
from nas.search.storage.outage_retry import through_outages
from nas.search.storage.trial_records import (
    TrialRecord,
    copied_attributes,
    objectives_of,
    result_attributes,
    stopped_attributes,
    stored_objectives,
)
from nas.space.genome import Genome
from nas.study.finals_spec import ValidationChoices
from nas.study.grid_spec import Fold

_unless_just_told = contextlib.suppress(UpdateFinishedTrialError)
"""Who had lost a trial's lease unawares may tell it at any moment: that result then stands."""


@dataclass(frozen=True)
class RunningTrial:
    """A running trial, to be told how it ended.

    Attributes:
        seed: That it is trained from.
        choices: Made before it, for a run of finals.
        fold: What it is validated on, if not the study's own validation images.
        is_point: Whether it is a grid's, where one genome is trained from several seeds.
        is_sample: Whether its weights are kept in any case: a grid keeps those of each setting once.
    """

    trial: Trial
    genome: Genome
    seed: int
    is_baseline: bool = False
    choices: ValidationChoices | None = None
    fold: Fold | None = None
    is_point: bool = False
    is_sample: bool = False

    @property
    def number(self) -> int:
        return self.trial.number

    @property
    def is_final(self) -> bool:
        """Whether it is a run of finals."""
        return self.choices is not None

    @property
    def key(self) -> str:
        """Trials of one key would give the same result."""
        if not self.is_final and not self.is_point:
            return self.genome.key
        return f"{self.genome.key}-{self.seed}" + ("" if self.fold is None else f"-{self.fold.index}")

    @property
    def trial_id(self) -> int:
        """Optuna's identifier, which is not the number."""
        return self.trial._trial_id


@dataclass(frozen=True)
class TrialFiles:
    """What a training leaves.

    Attributes:
        predictions: What is said of the test images, of a run of finals.
    """

    weights: Path
    predictions: Path | None = None

    @classmethod
    def within(cls, folder: Path, trial: RunningTrial) -> TrialFiles:
        """Those of a trial in a folder."""
        predictions = folder / f"predictions-{trial.number}.safetensors"
        return cls(folder / f"trial-{trial.number}.safetensors", predictions if trial.is_final else None)


class TrialTeller:
    """Tells one study.

    Args:
        study: Gives optuna's study as it is read at present.
    """

    def __init__(self, storage: Storage, study: Callable[[], optuna.Study]) -> None:
        self._storage = storage
        self._study = study

    @property
    def database_url(self) -> str:
        return self._storage.rdb.url

    @through_outages
    def completed(self, opened: RunningTrial, completed: Completed, cost: Cost, files: TrialFiles) -> bool:
        """Record a result, and keep the files that somebody may want. Returns whether it is on the front.

        Weights are wanted of the baseline, of the front and of samples; of finals those of the finalists, and all
        predictions.
        """
        if self._has_ended(opened.trial):
            return False
        trial, objectives = opened.trial, objectives_of(completed, cost)
        on_front = not opened.is_baseline and not opened.is_final and self._would_be_on_front(objectives)
        attributes = result_attributes(completed)
        if opened.is_final != opened.is_baseline or on_front or opened.is_sample:
            attributes["weights"] = self._storage.keep_file(files.weights, trial)
        if files.predictions is not None:
            attributes["predictions"] = self._storage.keep_file(files.predictions, trial)
        self.note(trial, attributes)
        self._tell(trial, values=objectives)
        return on_front

    @through_outages
    def stopped(self, opened: RunningTrial, stopped: Stopped) -> None:
        """Record how far a trial came that fell behind.

        Without values: for a sampler it is worse than every trial that has some, and it is never on the front.
        """
        if self._has_ended(opened.trial):
            return
        self.note(opened.trial, stopped_attributes(stopped))
        self._tell(opened.trial, state=TrialState.PRUNED)

    @through_outages
    def twin(self, opened: RunningTrial, twin: TrialRecord) -> None:
        """Record what became of an earlier trial of the same genome, which completed or was stopped."""
        if self._has_ended(opened.trial):
            return
        self.note(opened.trial, copied_attributes(twin))
        if twin.objectives is None:
            self._tell(opened.trial, state=TrialState.PRUNED)
        else:
            self._tell(opened.trial, values=twin.objectives)

    @through_outages
    def infeasible(self, opened: RunningTrial, cost: Cost, outcome: Infeasible) -> None:
        """Record that a genome is over the budget; the sampler learns by how much, in decades of parameters."""
        trial = opened.trial
        if self._has_ended(trial):
            return
        with _unless_just_told:
            trial.set_constraint("max_params", math.log10(cost.params / outcome.max_params))
        detail = f"{cost.params:,} parameters, {outcome.max_params:,} allowed"
        self.note(trial, {"reason": "over_budget", "detail": detail})
        self._tell(trial, state=TrialState.PRUNED)

    @through_outages
    def failed(self, opened: RunningTrial, failed: Failed) -> None:
        """Record why a trial gave no result."""
        self._failed(opened.trial, failed)

    @through_outages
    def lost(self, trial_ids: set[int]) -> None:
        """Fail trials whose worker was lost."""
        for trial_id in trial_ids:
            self._failed(Trial(self._study(), trial_id), Failed("crashed", "its worker was lost"))

    def note(self, trial: Trial, attributes: dict[str, Any]) -> None:
        """Set attributes at once, for optuna's own way is a transaction for each; not repeated through an outage."""
        with _unless_just_told:
            self._storage.rdb.set_trial_user_attrs(trial._trial_id, attributes)

    def _failed(self, trial: Trial, failed: Failed) -> None:
        if self._has_ended(trial):
            return
        self.note(trial, {"reason": failed.reason, "detail": failed.detail})
        self._tell(trial, state=TrialState.FAIL)

    def _would_be_on_front(self, objectives: Objectives) -> bool:
        complete = self._study().get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        known = [stored_objectives(trial) for trial in complete if not trial.user_attrs.get("baseline")]
        # First, so that it wins a tie: of equals the front shows the lowest number, which may have ended last.
        return any(point is objectives for point in pareto_front([objectives, *known], lambda point: point))

    def _has_ended(self, trial: Trial) -> bool:
        """Whether a trial was told already, by a call whose answer was lost or by whoever took it up after this one."""
        return self._storage.rdb.state_of(trial._trial_id).is_finished()

    def _tell(self, trial: Trial, *, values: Objectives | None = None, state: TrialState | None = None) -> None:
        study = self._study()
        # A study of one objective is told the first.
        told = None if values is None else (values.macro_f1, values.log10_params)[: len(study.directions)]
        with _unless_just_told:
            study.tell(trial, values=told, state=state, skip_if_finished=True)
