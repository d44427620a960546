"""Proposal of the next slice to score: evolution towards the front and the target.

Source: Real et al., "Regularized Evolution for Image Classifier Architecture Search", 2019, for mutation of good
members of the population; Cai et al., "Once-for-All", 2020, section 3, for evolution on shared weights.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from nas.search.pareto_front import pareto_front
from nas.search.sampling.mutation_suggester import MutationSuggester
from nas.search.storage.trial_records import TrialRecord
from nas.space.elastic_space import ElasticSpace
from nas.space.genome import Genome

_CHILD_SHARE = 0.7
_CROSSOVER_SHARE = 0.3
_MUTATION_RATE = 0.25
_NUM_PARENTS = 12
_MAX_DRAWS = 50


def propose_slice(
    elastics: Sequence[ElasticSpace],
    scored: Sequence[TrialRecord],
    target_f1: float | None,
    limits: Mapping[str, float],
    generator: random.Random,
) -> dict[str, Any] | None:
    """Return the parameters of a slice that was not scored yet; None if only known ones are drawn.

    Most slices are children of members of the front of all scored slices, the nearest to the target first; the others
    are random ones of the elastic networks in turn.

    Args:
        elastics: The elastic networks.
        scored: Trials with shared scores.
        target_f1: Macro-F1 of the target; None for the whole front.
        limits: Limit of each limited cost of parents, by its name.
    """
    known = {record.genome_key for record in scored}
    front = pareto_front(
        [one for one in scored if all((one.cost_of(name) or 0.0) <= limit for name, limit in limits.items())],
        lambda record: record.objectives,  # type: ignore[arg-type, return-value]
    )
    if target_f1 is not None:
        front = sorted(front, key=lambda record: abs(record.score - target_f1))[:_NUM_PARENTS]
    for _ in range(_MAX_DRAWS):
        elastic = elastics[generator.randrange(len(elastics))]
        inherited: Mapping[str, Any] = {}
        if front and generator.random() < _CHILD_SHARE:
            parent = generator.choice(front)
            own = next((one for one in elastics if one.contains(parent.parameters)), None)
            if own is not None:
                elastic, inherited = own, _crossed(parent, front, own, generator)
        suggester = MutationSuggester(inherited, generator, _MUTATION_RATE)
        genome: Genome = elastic.sample(suggester)
        if genome.key not in known:
            return {**elastic.parameters, **suggester.parameters}
    return None


def _crossed(
    parent: TrialRecord, front: Sequence[TrialRecord], elastic: ElasticSpace, generator: random.Random
) -> dict[str, Any]:
    """Return the parameters of a parent, some of them sometimes those of another member of its elastic network."""
    others = [one for one in front if one is not parent and elastic.contains(one.parameters)]
    if not others or generator.random() >= _CROSSOVER_SHARE:
        return dict(parent.parameters)
    other = generator.choice(others).parameters
    return {
        name: other[name] if name in other and generator.random() < 0.5 else value
        for name, value in parent.parameters.items()
    }
