"""Proposal of the next slice to score: evolution towards the front and the target.

Source: Real et al., "Regularized Evolution for Image Classifier Architecture Search", 2019, for mutation of good
members of the population; Cai et al., "Once-for-All", 2020, section 3, for evolution on shared weights.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from nas.search.pareto_front import pareto_front
from nas.search.storage.trial_records import TrialRecord
from nas.space.elastic_space import ElasticSpace
from nas.space.gene_domains import RandomSuggester
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
    max_params: int | None,
    generator: random.Random,
) -> dict[str, Any] | None:
    """Return the parameters of a slice that was not scored yet; None if only known ones are drawn.

    Most slices are children of members of the front of all scored slices, the nearest to the target first; the others
    are random ones of the elastic networks in turn.

    Args:
        elastics: The elastic networks.
        scored: Trials with shared scores.
        target_f1: Macro-F1 of the target; None for the whole front.
        max_params: Limit of parameters of parents.
    """
    known = {record.genome_key for record in scored}
    front = pareto_front(
        [one for one in scored if max_params is None or (one.params or 0) <= max_params],
        lambda record: record.objectives,  # type: ignore[arg-type, return-value]
    )
    if target_f1 is not None:
        front = sorted(front, key=lambda record: abs(record.macro_f1 - target_f1))[:_NUM_PARENTS]
    for _ in range(_MAX_DRAWS):
        elastic = elastics[generator.randrange(len(elastics))]
        inherited: Mapping[str, Any] = {}
        if front and generator.random() < _CHILD_SHARE:
            parent = generator.choice(front)
            elastic = next((one for one in elastics if one.contains(parent.parameters)), elastic)
            inherited = _crossed(parent, front, elastic, generator)
        suggester = _ChildSuggester(inherited, generator)
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


class _ChildSuggester:
    """Suggester that keeps most of a parent's parameters; it records what it returns."""

    def __init__(self, parent: Mapping[str, Any], generator: random.Random) -> None:
        self._parent, self._generator = parent, generator
        self._uniform = RandomSuggester(generator.randrange(2**31))
        self.parameters: dict[str, Any] = {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._choose(name, self._uniform.suggest_categorical(name, choices), choices)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        drawn = self._uniform.suggest_int(name, low, high, step=step, log=log)
        return int(self._choose(name, drawn, range(low, high + 1)))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._choose(name, self._uniform.suggest_float(name, low, high, step=step, log=log), None))

    def _choose(self, name: str, drawn: Any, allowed: Sequence[Any] | range | None) -> Any:
        kept = self._parent.get(name, drawn)
        is_kept = self._generator.random() >= _MUTATION_RATE and (allowed is None or kept in allowed)
        self.parameters[name] = kept if is_kept else drawn
        return self.parameters[name]
