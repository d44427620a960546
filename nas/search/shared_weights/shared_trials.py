"""Trials of a search by shared weights: elastic trainings, scores of slices, and trainings of single slices."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nas.errors import StudyError
from nas.results.dataset_summary import DatasetSummary
from nas.search.sampling.search_guidance import ParamCounter
from nas.search.shared_weights.elastic_selection import (
    ElasticDefinition,
    elastic_parameters,
    ranked_preliminaries,
)
from nas.search.shared_weights.slice_proposals import propose_slice
from nas.search.shared_weights.training_candidates import next_candidate
from nas.search.storage.slot_leases import BASELINE_SLOT, FIRST_INHERITED_SLOT
from nas.search.storage.trial_records import ELASTIC, FINE_TUNED, SHARED, TrialRecord
from nas.search.target import Target, aims_at_target, target_of
from nas.space.elastic_space import ElasticSpace
from nas.space.genome import Genome
from nas.study.study_spec import StudySpec


@dataclass(frozen=True)
class TrialStart:
    """What a new trial starts with.

    Attributes:
        attributes: User attributes of the trial.
        parameters: Parameters of its genome; None for a trial that has none, or whose genome the sampler proposes.
    """

    attributes: Mapping[str, Any]
    parameters: Mapping[str, Any] | None = None


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

    def start(self, slot: int) -> TrialStart:
        """Return the start of a slot's trial.

        Raises:
            StudyError: No preliminary trial has a result, or the elastic networks have no weights.
        """
        assert self._spec.shared_weights is not None
        if slot < BASELINE_SLOT:
            return self._elastic_start(-slot)
        if slot >= FIRST_INHERITED_SLOT:
            return self._slice_start()
        if slot <= self._spec.num_preliminary:
            return TrialStart({})
        return self._training_start(slot)

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

    def _elastic_start(self, rank: int) -> TrialStart:
        ranked = ranked_preliminaries(self._records(), self._spec.num_preliminary)
        if not ranked:
            raise StudyError(
                f"study {self._spec.name!r}: no preliminary trial has a result, so no elastic network can be chosen; "
                "see `nas show` for the reason"
            )
        # Where families failed, several elastic networks have one of the others; the second is a duplicate.
        chosen = ranked[min(rank, len(ranked)) - 1]
        parameters = elastic_parameters(chosen, self._spec, self._size)
        elastic = ElasticSpace.within(self._spec.space, parameters, self._size, self._fits)
        definition = ElasticDefinition(parameters, elastic.share, chosen.number)
        return TrialStart({"elastic": definition.as_json()})

    def _fits(self, genome: Genome) -> bool:
        """Return True for a largest network within the limit of parameters."""
        shared, most, count = self._spec.shared_weights, self._spec.budget.max_params, self._count_params()
        if most is None or count is None or shared is None:
            return True
        (params,) = count([genome.architecture])
        return params is not None and params <= shared.factor * most

    def _slice_start(self) -> TrialStart:
        records = self._records()
        elastics = [definition.space(self._spec, self._size) for definition in self.definitions().values()]
        if not elastics:
            raise StudyError(
                f"study {self._spec.name!r}: no elastic network was trained, so there are no shared weights; see "
                "`nas show` for the reason"
            )
        scored = [one for one in records if one.source == SHARED and one.objectives is not None]
        target = target_of(self._spec, records) if aims_at_target(len(scored), self._spec.target.share) else None
        parameters = propose_slice(
            elastics, scored, None if target is None else target.macro_f1, self._spec.budget.max_params, self._random
        )
        # Where all slices are known, one of them is scored again as a duplicate.
        return TrialStart({"source": SHARED}, parameters or dict(self._random.choice(scored).parameters))

    def _training_start(self, slot: int) -> TrialStart:
        assert self._spec.shared_weights is not None
        records = self._records()
        target: Target | None = target_of(self._spec, records)
        aims = aims_at_target(slot - self._spec.num_preliminary - 1, self._spec.target.share)
        candidate = next_candidate(records, None if target is None else target.macro_f1, aims_at_target=aims)
        if candidate is None:
            return TrialStart({})
        source = {"source": FINE_TUNED} if self._spec.shared_weights.train == "fine_tune" else {}
        return TrialStart({**source, "candidate_of": candidate.number}, candidate.parameters)
