"""Preview of a search space before training: its smallest network and random samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from nas.networks.parameter_and_flop_count import count_params_for, measure_cost_for
from nas.results.dataset_summary import DatasetSummary
from nas.results.network_cost import Cost
from nas.space.architecture import Architecture
from nas.space.gene_domains import RandomSuggester
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace
from nas.study.cost_definitions import FLOPS, PARAMS, cost_definition
from nas.worker.trainer_messages import SampledGenome, SpacePreview

_NUM_SMALL = 2


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


def smallest_genome(
    space: SearchSpace, params_of: Callable[[Genome], int], size: tuple[int, int] | None = None
) -> Genome:
    """Return the genome with the fewest parameters.

    Parameters grow with every number in a space but three: a hidden layer may narrow the classifier's input, so may the
    transition before a further DenseNet stage, and a stride in the stem may spare a later one, which needs a projection
    on a ResNet's shortcut. The numbers of layers and stages, factorisation, normalisation and siamese sharing (for
    pairs) are enumerated, so a few corners of the space contain the smallest. (ResNets of 1×1 kernels are an exception:
    a stem as wide as the first stage needs no projection; this is not enumerated.)

    Args:
        size: Rows and columns of the images, as in `SearchSpace.sample`.
    """
    return min(corner_genomes(space, size), key=params_of)


def corner_genomes(space: SearchSpace, size: tuple[int, int] | None = None) -> Iterator[Genome]:
    """Yield the genomes at the corners of a space of which one is the smallest; arguments as `smallest_genome`."""
    siamese_choices = (False, True) if space.pair_genes else (False,)
    for family, factorized, normalization, is_siamese in product(
        space.families, (False, True), ("batch", "none"), siamese_choices
    ):
        for numbers in _numbers_of_layers(space, family):
            fixed = {
                "family": family, "factorized": factorized, "normalization": normalization, "siamese": is_siamese,
                "stem_stride": 2, "downsampling": "average", "preactivated": False, **numbers,
            }  # fmt: skip
            yield space.sample(_CornerSuggester(fixed), size)


def _small_genomes(space: SearchSpace, params_of: Callable[[Genome], int], size: tuple[int, int]) -> list[Genome]:
    """Return the smallest genomes of each family, of which one is taken for that of the lowest cost."""
    distinct = {genome.architecture: genome for genome in corner_genomes(space, size)}
    ranked = sorted(distinct.values(), key=params_of)
    return [one for family in space.families for one in [g for g in ranked if g.family == family][:_NUM_SMALL]]


def _numbers_of_layers(space: SearchSpace, family: str) -> Iterator[dict[str, int]]:
    """Yield the numbers of stages and hidden layers that a family's smallest network may have."""
    stages, layers, depths = (
        space.architecture.domain(gene, (family,))[1].integer_values()
        for gene in ("num_stages", "head_layers", "depth")
    )
    lowest = min((depth for depth in depths if depth > 0), default=1)
    for num_stages in stages if family == "densenet" else (min(stages),):
        for num_skipped in range(num_stages) if 0 in depths else (0,):
            stage_depths = {
                f"depth_{stage}": 0 if stage <= num_skipped else lowest for stage in range(1, num_stages + 1)
            }
            for head_layers in layers:
                yield {"num_stages": num_stages, "head_layers": head_layers, **stage_depths}


def preview_space(
    space: SearchSpace, dataset_summary: DatasetSummary, limits: Mapping[str, float], num_samples: int,
    measure: Callable[[Architecture, Sequence[str]], Cost],
) -> SpacePreview:  # fmt: skip
    """Describe a search space for a data set; trains nothing.

    Args:
        limits: Limit of each limited cost, by its name.
        measure: Measures further costs of a network. Of random samples only the counted ones are compared with limits.
    """
    size = dataset_summary.height, dataset_summary.width

    def params_of(genome: Genome) -> int:
        return count_params_for(genome.architecture, dataset_summary)

    def sample(genome: Genome) -> SampledGenome:
        return SampledGenome(genome, measure_cost_for(genome.architecture, dataset_summary))

    samples = tuple(sample(space.sample(RandomSuggester(seed), size)) for seed in range(num_samples))
    counted = {name: limit for name, limit in limits.items() if cost_definition(name).is_counted}
    within = [one.cost.is_within(counted) for one in samples]
    smallest = sample(smallest_genome(space, params_of, size))
    lowest = {PARAMS: float(smallest.cost.params), FLOPS: float(smallest.cost.flops)}
    if set(limits) - {PARAMS}:
        names = [name for name in limits if not cost_definition(name).is_counted]
        measured = [measure(genome.architecture, names) for genome in _small_genomes(space, params_of, size)]
        lowest |= {name: min(cost[name] for cost in measured) for name in limits if name != PARAMS}
    return SpacePreview(
        smallest=smallest,
        lowest=lowest,
        samples=samples,
        share_within_budget=sum(within) / len(within) if within else 1.0,
    )
