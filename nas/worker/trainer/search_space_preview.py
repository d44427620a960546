"""Looking into a search space before anything is trained: its smallest network, and random ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

from nas.networks.parameter_and_flop_count import count_params_for, measure_cost_for
from nas.results.dataset_summary import DatasetSummary
from nas.space.gene_domains import RandomSuggester
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace
from nas.worker.trainer_messages import SampledGenome, SpacePreview


class _CornerSuggester:
    """Takes the values it is told to, the lowest number of every other gene, and the first of other choices."""

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self._wanted = wanted

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        gene = name.rpartition(".")[2]
        if gene in self._wanted and self._wanted[gene] in choices:
            return self._wanted[gene]
        return choices[0] if any(isinstance(choice, (bool, str)) for choice in choices) else min(choices)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._wanted.get(name.rpartition(".")[2], low))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return low


def smallest_genome(space: SearchSpace, params_of: Callable[[Genome], int]) -> Genome:
    """The genome with the fewest parameters.

    Parameters grow with every number in a space but two: a hidden layer may narrow the classifier's input, and so
    may the transition before a DenseNet's further stage. Those, factorisation, normalisation and whether a network of
    pairs is siamese are tried in all ways; so a few corners of the space hold the smallest. (ResNets of 1×1 kernels are
    an exception: a stem as wide as the first stage spares them a projection, which is not tried.)
    """
    candidates = []
    siamese = (False, True) if space.pair_genes else (False,)
    for family, factorized, normalization, shared in product(space.families, (False, True), ("batch", "none"), siamese):
        stages, layers = (
            space.architecture.domain(gene, (family,))[1].whole_numbers() for gene in ("num_stages", "head_layers")
        )
        for num_stages, head_layers in product(stages if family == "densenet" else (min(stages),), layers):
            wanted = {
                "family": family, "factorized": factorized, "normalization": normalization,
                "num_stages": num_stages, "head_layers": head_layers, "siamese": shared,
            }  # fmt: skip
            candidates.append(space.sample(_CornerSuggester(wanted)))
    return min(candidates, key=params_of)


def preview_space(space: SearchSpace, facts: DatasetSummary, max_params: int | None, num_samples: int) -> SpacePreview:
    """Describe a search space for a data set; trains nothing."""

    def params_of(genome: Genome) -> int:
        return count_params_for(genome.architecture, facts)

    def sample(genome: Genome) -> SampledGenome:
        return SampledGenome(genome, measure_cost_for(genome.architecture, facts))

    samples = tuple(sample(space.sample(RandomSuggester(seed))) for seed in range(num_samples))
    within = [max_params is None or one.cost.params <= max_params for one in samples]
    return SpacePreview(
        smallest=sample(smallest_genome(space, params_of)),
        samples=samples,
        share_within_budget=sum(within) / len(within) if within else 1.0,
    )
