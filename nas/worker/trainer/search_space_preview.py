"""Preview of a search space before training: its smallest network and random samples."""

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
    """Suggester of fixed values, else of the lowest number, else of the first choice."""

    def __init__(self, fixed: Mapping[str, Any]) -> None:
        self._fixed = fixed

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        gene = name.rpartition(".")[2]
        if gene in self._fixed and self._fixed[gene] in choices:
            return self._fixed[gene]
        return choices[0] if any(isinstance(choice, (bool, str)) for choice in choices) else min(choices)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._fixed.get(name.rpartition(".")[2], low))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return low


def smallest_genome(space: SearchSpace, params_of: Callable[[Genome], int]) -> Genome:
    """Return the genome with the fewest parameters.

    Parameters grow with every number in a space but two: a hidden layer may narrow the classifier's input, and so
    may the transition before a further DenseNet stage. Those two, factorisation, normalisation and siamese sharing (for
    pairs) are enumerated, so a few corners of the space contain the smallest. (ResNets of 1×1 kernels are an exception:
    a stem as wide as the first stage needs no projection; this is not enumerated.)
    """
    candidates = []
    siamese_choices = (False, True) if space.pair_genes else (False,)
    for family, factorized, normalization, is_siamese in product(
        space.families, (False, True), ("batch", "none"), siamese_choices
    ):
        stages, layers = (
            space.architecture.domain(gene, (family,))[1].integer_values() for gene in ("num_stages", "head_layers")
        )
        for num_stages, head_layers in product(stages if family == "densenet" else (min(stages),), layers):
            fixed = {
                "family": family, "factorized": factorized, "normalization": normalization,
                "num_stages": num_stages, "head_layers": head_layers, "siamese": is_siamese,
            }  # fmt: skip
            candidates.append(space.sample(_CornerSuggester(fixed)))
    return min(candidates, key=params_of)


def preview_space(
    space: SearchSpace, dataset_summary: DatasetSummary, max_params: int | None, num_samples: int
) -> SpacePreview:
    """Describe a search space for a data set; trains nothing."""

    def params_of(genome: Genome) -> int:
        return count_params_for(genome.architecture, dataset_summary)

    def sample(genome: Genome) -> SampledGenome:
        return SampledGenome(genome, measure_cost_for(genome.architecture, dataset_summary))

    samples = tuple(sample(space.sample(RandomSuggester(seed))) for seed in range(num_samples))
    within = [max_params is None or one.cost.params <= max_params for one in samples]
    return SpacePreview(
        smallest=sample(smallest_genome(space, params_of)),
        samples=samples,
        share_within_budget=sum(within) / len(within) if within else 1.0,
    )
