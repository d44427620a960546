"""Trials of a search by shared weights: elastic trainings, scores of slices, and trainings of single slices."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from optuna.trial import Trial

from nas.errors import StudyError
from nas.results.dataset_summary import DatasetSummary
from nas.search.sampling.search_guidance import ParamCounter
from nas.search.shared_weights.elastic_selection import (
    ElasticDefinition,
    elastic_parameters,
    ranked_preliminaries,
)
from nas.search.shared_weights.recipe_variants import propose_recipe
from nas.search.shared_weights.slice_proposals import propose_slice
from nas.search.shared_weights.training_candidates import next_candidate
from nas.search.storage.slot_conditions import BASELINE_SLOT, FIRST_INHERITED_SLOT
from nas.search.storage.trial_records import ELASTIC, FINE_TUNED, SHARED, TrialRecord
from nas.search.target import Target, target_of
from nas.search.trial_shares import is_in_share
from nas.search.trial_tells import RunningTrial
from nas.space.elastic_space import ElasticSpace
from nas.space.genome import Genome
from nas.study.study_spec import StudySpec

_FIXED_PARAMETERS = "fixed_params"
"""System attribute in which Optuna keeps the parameters of an enqueued trial."""


class SharedTrials:
    """Starts of the trials of one study that has shared weights.

    Args:
        records: Returns all trials of the study.
        count_params: Returns the counter of parameters; None of it where there is none.
    """

    def __init__(
        self,
        spec: StudySpec,
        dataset_summary: DatasetSummary,
        records: Callable[[], Sequence[TrialRecord]],
        count_params: Callable[[], ParamCounter | None],
    ) -> None:
        self._spec, self._size = spec, dataset_summary.image_size
        self._records, self._count_params = records, count_params
        self._random = random.Random()

    def start(self, slot: int) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Return the user and system attributes that a slot's trial starts with; None if the sampler proposes it.

        Raises:
            StudyError: No preliminary trial has a result, or the elastic networks have no weights.
        """
        assert self._spec.shared_weights is not None
        if slot < BASELINE_SLOT:
            return self._elastic_start(-slot)
        if slot >= FIRST_INHERITED_SLOT:
            return self._slice_start()
        if slot <= self._spec.num_preliminary:
            return None
        return self._training_start(slot)

    def elastic_training(self, trial: Trial, definition: Mapping[str, Any]) -> RunningTrial:
        """Return the training of an elastic network; its genome is that of the largest network."""
        assert self._spec.shared_weights is not None
        elastic = ElasticDefinition(**definition)
        epochs, seed = self._spec.shared_weights.elastic_epochs(self._spec.budget.epochs), self._spec.training.seed
        genome = elastic.space(self._spec, self._size).largest
        return RunningTrial(trial, genome, seed, own_epochs=epochs, definition=elastic)

    def slice_of(self, running: RunningTrial, source: str | None) -> RunningTrial:
        """Return a trial with the elastic network of which its network is a slice; without a source as it is."""
        assert self._spec.shared_weights is not None
        if source is None:
            return running
        number, definition = self.elastic_of(running.trial.params)
        tuning_epochs = self._spec.shared_weights.tuning_epochs(self._spec.budget.epochs)
        epochs = tuning_epochs if source == FINE_TUNED else None
        return replace(running, own_epochs=epochs, definition=definition, elastic_trial=number, source=source)

    def definitions(self) -> dict[int, ElasticDefinition]:
        """Return the definitions of the trained elastic networks by the numbers of their trials."""
        return {
            record.number: ElasticDefinition(**record.elastic)
            for record in self._records()
            if record.elastic is not None and record.reason == ELASTIC
        }

    def elastic_of(self, parameters: Mapping[str, Any]) -> tuple[int, ElasticDefinition]:
        """Return the elastic network of which a genome's network is a slice, with the number of its trial.

        Raises:
            StudyError: It is a slice of none.
        """
        for number, definition in self.definitions().items():
            if definition.space(self._spec, self._size).contains(parameters):
                return number, definition
        raise StudyError(f"study {self._spec.name!r} has no elastic network of which this genome is a slice")

    def _elastic_start(self, rank: int) -> tuple[dict[str, Any], dict[str, Any]]:
        ranked = ranked_preliminaries(self._records(), self._spec.num_preliminary)
        if not ranked:
            raise StudyError(
                f"study {self._spec.name!r}: no preliminary trial has a result, so no elastic network can be chosen; "
                "see `nas show` for the reason"
            )
        # Where families failed, several elastic networks have the last of the others.
        chosen = ranked[min(rank, len(ranked)) - 1]
        parameters = elastic_parameters(chosen, self._spec, self._size)
        elastic = ElasticSpace.within(self._spec.space, parameters, self._size, self._fits)
        definition = ElasticDefinition(parameters, elastic.share, chosen.number)
        return {"elastic": definition.as_json()}, {}

    def _fits(self, genome: Genome) -> bool:
        """Return True for a largest network within the limit of parameters."""
        shared, most, count = self._spec.shared_weights, self._spec.budget.max_params, self._count_params()
        if most is None or count is None or shared is None:
            return True
        (params,) = count([genome.architecture])
        return params is not None and params <= shared.factor * most

    def _slice_start(self) -> tuple[dict[str, Any], dict[str, Any]]:
        records = self._records()
        elastics = [definition.space(self._spec, self._size) for definition in self.definitions().values()]
        if not elastics:
            raise StudyError(
                f"study {self._spec.name!r}: no elastic network was trained, so there are no shared weights; see "
                "`nas show` for the reason"
            )
        scored = [one for one in records if one.source == SHARED and one.objectives is not None]
        target = target_of(self._spec, records) if is_in_share(len(scored), self._spec.target.share) else None
        parameters = propose_slice(
            elastics, scored, None if target is None else target.macro_f1, self._spec.budget.limits, self._random
        )
        # Where all slices are known, one of them is scored again as a duplicate.
        parameters = parameters or dict(self._random.choice(scored).parameters)
        return {"source": SHARED}, {_FIXED_PARAMETERS: parameters}

    def _training_start(self, slot: int) -> tuple[dict[str, Any], dict[str, Any]] | None:
        shared = self._spec.shared_weights
        assert shared is not None
        records, index = self._records(), slot - self._spec.num_preliminary - 1
        target: Target | None = target_of(self._spec, records)
        target_score = None if target is None else target.macro_f1
        chosen = None
        if is_in_share(index, shared.recipe_share):
            chosen = propose_recipe(records, target_score, self._spec.space, self._size, self._random)
        if chosen is None:
            aims = is_in_share(index, self._spec.target.share)
            candidate = next_candidate(records, target_score, aims_at_target=aims)
            if candidate is None:
                return None
            chosen = candidate.number, dict(candidate.parameters)
        source = {"source": FINE_TUNED} if shared.train == "fine_tune" else {}
        return {**source, "candidate_of": chosen[0]}, {_FIXED_PARAMETERS: chosen[1]}
