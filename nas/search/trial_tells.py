"""Record the ends of trials in their study (tell of ask-and-tell): repeatable, and retried through an outage."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial, TrialState

from nas.results.network_cost import Cost
from nas.results.outcome import Completed, Failed, Infeasible, Stopped
from nas.search.pareto_front import Objectives, pareto_front
from nas.search.shared_weights.elastic_selection import ElasticDefinition
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.outage_retry import retried_through_outage
from nas.search.storage.trial_attributes import duplicate_attributes, result_attributes, stopped_attributes
from nas.search.storage.trial_records import (
    ELASTIC,
    FILE,
    NUMBER,
    SHARED,
    TrialRecord,
    objectives_of,
    stored_objectives,
)
from nas.space.genome import Genome
from nas.space.reference_models import NumberArchitecture
from nas.study.cost_definitions import LIMIT_PREFIX
from nas.study.costs_spec import DEFAULT_OBJECTIVES, ObjectivePair
from nas.study.final_runs import ValidationChoices
from nas.study.grid_spec import Fold

_unless_already_finished = contextlib.suppress(UpdateFinishedTrialError)
"""A worker with an expired lease may record the end of the trial at any moment; the first recorded end counts."""


@dataclass(frozen=True)
class RunningTrial:
    """Trial that has started and not ended.

    Attributes:
        seed: Random seed of the training.
        choices: Validation choices of the search that a final run reuses; None for other trials.
        fold: Cross-validation fold; None for the study's own validation images.
        is_point: True for a grid point; a grid trains one genome from several seeds.
        always_keeps_weights: True if the weights are kept off the front too: a grid keeps one training of each setting.
        own_epochs: Epochs of a training that is not as long as the trials'; else None.
        definition: Elastic network that is trained, or of which the network is a slice.
        elastic_trial: Number of the trial that trained the elastic network of a slice.
        source: As in `TrialRecord`.
    """

    trial: Trial
    genome: Genome
    seed: int
    is_baseline: bool = False
    choices: ValidationChoices | None = None
    fold: Fold | None = None
    is_point: bool = False
    always_keeps_weights: bool = False
    own_epochs: int | None = None
    definition: ElasticDefinition | None = None
    elastic_trial: int | None = None
    source: str | None = None

    @property
    def is_elastic(self) -> bool:
        """True for the training of an elastic network."""
        return self.definition is not None and self.elastic_trial is None

    @property
    def role(self) -> Literal["training", "elastic", "slice"]:
        """Kind of the work: a training of its own, that of an elastic network, or the score of a slice."""
        return "elastic" if self.is_elastic else "slice" if self.source == SHARED else "training"

    @property
    def number(self) -> int:
        return self.trial.number

    @property
    def is_final(self) -> bool:
        """True for a run of a finals study."""
        return self.choices is not None

    @property
    def key(self) -> str:
        """Identity of the training: trials with equal keys have the same result."""
        epochs = "" if self.own_epochs is None else f"-{self.own_epochs}e"
        if self.is_elastic or self.source is not None:
            return f"{self.genome.key}-{self.source or ELASTIC}{epochs}"
        if not self.is_final and not self.is_point:
            return f"{self.genome.key}{epochs}"
        return f"{self.genome.key}-{self.seed}{epochs}" + ("" if self.fold is None else f"-{self.fold.index}")

    @property
    def trial_id(self) -> int:
        """Optuna's identifier, unique in the database; not the trial's number in its study."""
        return self.trial._trial_id


@dataclass(frozen=True)
class TrialFiles:
    """Output files of a training.

    Attributes:
        predictions: Predictions on the test images; None except for a final run.
        spare: Folder in which a training writes files for which theirs had no room at its end; None for none.
    """

    weights: Path
    predictions: Path | None = None
    spare: Path | None = None

    @classmethod
    def within(cls, folder: Path, trial: RunningTrial, spare: Path | None = None) -> TrialFiles:
        """Return the file paths of a trial in a folder."""
        predictions = folder / f"predictions-{trial.number}.safetensors"
        return cls(folder / f"trial-{trial.number}.safetensors", predictions if trial.is_final else None, spare)

    def located(self) -> TrialFiles:
        """Return the paths at which the files are: their own, or those in the spare folder."""
        if self.spare is None:
            return self
        weights, predictions = (
            path if path is None or path.is_file() else self.spare / path.name
            for path in (self.weights, self.predictions)
        )
        return TrialFiles(weights or self.weights, predictions, self.spare)

    def existing(self) -> list[Path]:
        """Return the paths of the files that were written."""
        return [path for path in (self.weights, self.predictions) if path is not None and path.is_file()]


class TrialTeller:
    """Writer of trial ends to one study (the tell of Optuna's ask-and-tell interface).

    Args:
        study: Returns the current Optuna study object.
        pair: Score and cost of the study.
    """

    def __init__(
        self, storage: Storage, study: Callable[[], optuna.Study], pair: ObjectivePair = DEFAULT_OBJECTIVES
    ) -> None:
        self._storage = storage
        self._study, self._pair = study, pair

    @property
    def database_url(self) -> str:
        return self._storage.rdb.url

    @property
    def max_outage_seconds(self) -> float:
        return self._storage.max_outage_seconds

    @retried_through_outage
    def completed(self, running: RunningTrial, completed: Completed, cost: Cost, files: TrialFiles) -> bool:
        """Record a result and store its files; return True if the trial is on the front.

        Weights are stored for the baseline, the front and one training of each grid setting. Finals store the weights
        of the finalists and all predictions.
        """
        if self._has_ended(running.trial):
            return False
        trial, objectives = running.trial, objectives_of(completed, cost, self._pair)
        is_shared = running.source == SHARED
        on_front = (
            not running.is_baseline
            and not running.is_final
            and self._would_be_on_front(objectives, is_shared=is_shared)
        )
        attributes = result_attributes(completed)
        if is_shared and not on_front:
            # Scores of all classes of thousands of slices would make every reading of the study slow.
            del attributes["per_class"]
        if running.source == FILE:
            # The file is stored with the study already.
            attributes["source"] = FILE
        elif running.is_final != running.is_baseline or on_front or running.always_keeps_weights:
            attributes["weights"] = self._storage.store_file(files.weights, trial)
        if files.predictions is not None:
            attributes["predictions"] = self._storage.store_file(files.predictions, trial)
        self.set_attributes(trial, attributes)
        self._tell(trial, values=objectives)
        return on_front

    @retried_through_outage
    def number(self, running: RunningTrial, number: NumberArchitecture) -> None:
        """Record a baseline of which only two numbers are known, from elsewhere."""
        if self._has_ended(running.trial):
            return
        self.set_attributes(running.trial, {"source": NUMBER, "f1_macro": number.score, "detail": "from elsewhere"})
        self._tell(running.trial, values=Objectives(number.score, math.log10(number.params)))

    @retried_through_outage
    def elastic(self, running: RunningTrial, completed: Completed, files: TrialFiles) -> None:
        """Record the training of an elastic network and store its weights; the trial gets no objective values."""
        trial = running.trial
        if self._has_ended(trial):
            return
        detail = (
            f"elastic network, whose largest has {self._pair.score_definition.title} {completed.scores.objective:.4f}"
        )
        attributes = {**result_attributes(completed), "reason": ELASTIC, "detail": detail}
        attributes["weights"] = self._storage.store_file(files.weights, trial)
        self.set_attributes(trial, attributes)
        self._tell(trial, state=TrialState.PRUNED)

    @retried_through_outage
    def stopped(self, running: RunningTrial, stopped: Stopped) -> None:
        """Record the learning curve of a trial that early stopping ended.

        The trial gets no objective values: a sampler ranks it below every trial that has some, and it is never on the
        front.
        """
        if self._has_ended(running.trial):
            return
        self.set_attributes(running.trial, stopped_attributes(stopped))
        self._tell(running.trial, state=TrialState.PRUNED)

    @retried_through_outage
    def duplicate(self, running: RunningTrial, source: TrialRecord) -> None:
        """Record a trial as a duplicate: copy the end of an earlier trial of its genome, completed or stopped."""
        if self._has_ended(running.trial):
            return
        self.set_attributes(running.trial, duplicate_attributes(source))
        if source.objectives is None:
            self._tell(running.trial, state=TrialState.PRUNED)
        else:
            self._tell(running.trial, values=source.objectives)

    @retried_through_outage
    def infeasible(self, running: RunningTrial, cost: Cost, limits: Mapping[str, float], outcome: Infeasible) -> None:
        """Record a genome over the budget, with its excess over each limit in decades for the sampler."""
        trial = running.trial
        if self._has_ended(trial):
            return
        with _unless_already_finished:
            for name, limit in limits.items():
                trial.set_constraint(f"{LIMIT_PREFIX}{name}", math.log10(cost[name] / limit))
        self.set_attributes(trial, {"reason": "over_budget", "detail": outcome.sentence})
        self._tell(trial, state=TrialState.PRUNED)

    @retried_through_outage
    def failed(self, running: RunningTrial, failed: Failed) -> None:
        """Record a failed trial with its reason."""
        self._tell_failed(running.trial, failed)

    @retried_through_outage
    def lost(self, trial_ids: set[int]) -> None:
        """Record trials of lost workers as failed."""
        for trial_id in trial_ids:
            self._tell_failed(Trial(self._study(), trial_id), Failed("crashed", "its worker was lost"))

    def set_attributes(self, trial: Trial, attributes: dict[str, Any]) -> None:
        """Set attributes in one transaction (Optuna uses one for each); not retried through an outage."""
        with _unless_already_finished:
            self._storage.rdb.set_trial_user_attrs(trial._trial_id, attributes)

    def _tell_failed(self, trial: Trial, failed: Failed) -> None:
        if self._has_ended(trial):
            return
        self.set_attributes(trial, {"reason": failed.reason, "detail": failed.detail})
        self._tell(trial, state=TrialState.FAIL)

    def _would_be_on_front(self, objectives: Objectives, *, is_shared: bool) -> bool:
        """Return True on the front of trained networks, or for a shared score on that of the shared scores."""
        complete = self._study().get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        known = [
            stored_objectives(trial, self._pair)
            for trial in complete
            if not trial.user_attrs.get("baseline") and (trial.user_attrs.get("source") == SHARED) == is_shared
        ]
        # First, so that it wins a tie: a front has the lowest number of equal trials, which may have ended last.
        return any(point is objectives for point in pareto_front([objectives, *known], lambda point: point))

    def _has_ended(self, trial: Trial) -> bool:
        """Return True if the trial's end is recorded: by a call whose reply was lost, or by its slot's later owner."""
        return self._storage.rdb.state_of(trial._trial_id).is_finished()

    def _tell(self, trial: Trial, *, values: Objectives | None = None, state: TrialState | None = None) -> None:
        study = self._study()
        # A single-objective study takes the first value.
        objective_values = None if values is None else (values.score, values.log10_cost)[: len(study.directions)]
        with _unless_already_finished:
            study.tell(trial, values=objective_values, state=state, skip_if_finished=True)
