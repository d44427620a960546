"""Looking into a search space before anything is trained: its smallest network, and random ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

from nas.domains import RandomSuggester
from nas.facts import DataFacts
from nas.genome import Genome
from nas.networks.cost import count_params, measure_cost
from nas.space import Space
from nas.worker.messages import Sample, SpacePreview


class _CornerSuggester:
    """Takes the low end of every range, and of a choice whatever it is told to."""

    def __init__(self, pick: Callable[[str, Sequence[Any]], Any]) -> None:
        self._pick = pick

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._pick(name, choices)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return low

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return low


def smallest_genome(space: Space, params_of: Callable[[Genome], int]) -> Genome:
    """The genome with the fewest parameters.

    Parameters grow with every number in a space except the number of hidden layers, which together with
    factorisation and normalisation is tried both ways; so a few corners of the space hold the smallest.
    """
    candidates = []
    for family, factorized, normalization, head in product(space.families, (False, True), ("batch", "none"), (0, -1)):
        wanted = {"family": family, "factorized": factorized, "normalization": normalization}

        def pick(name: str, choices: Sequence[Any], wanted: dict[str, Any] = wanted, head: int = head) -> Any:
            gene = name.rpartition(".")[2]
            if wanted.get(gene) in choices:
                return wanted[gene]
            numbers = sorted(choice for choice in choices if isinstance(choice, (int, float)))
            if len(numbers) < len(choices):
                return choices[0]
            return numbers[head if gene == "head_layers" else 0]

        candidates.append(space.sample(_CornerSuggester(pick)))
    return min(candidates, key=params_of)


def preview_space(space: Space, facts: DataFacts, max_params: int | None, num_samples: int) -> SpacePreview:
    """Describe a search space for a data set; trains nothing."""

    def params_of(genome: Genome) -> int:
        return count_params(genome.architecture, facts.channels, len(facts.classes))

    def sample(genome: Genome) -> Sample:
        cost = measure_cost(genome.architecture, facts.channels, len(facts.classes), facts.height, facts.width)
        return Sample(genome, cost)

    samples = tuple(sample(space.sample(RandomSuggester(seed))) for seed in range(num_samples))
    within = [max_params is None or one.cost.params <= max_params for one in samples]
    return SpacePreview(
        smallest=sample(smallest_genome(space, params_of)),
        samples=samples,
        share_within_budget=sum(within) / len(within) if within else 1.0,
    )
