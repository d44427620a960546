"""Elastic space: the architectures of a search space that share the weights of one elastic network.

They are those of one family with equal values of all genes but a few: widths, depths and the like, whose smaller values
are slices of larger ones. This module imports neither optuna nor torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nas.errors import ArchitectureError
from nas.space.architecture import SearchedArchitecture
from nas.space.gene_definitions import parameter_gene
from nas.space.gene_domains import Choices, Domain, Range, Suggester
from nas.space.genome import Genome
from nas.space.search_space import SearchSpace

ELASTIC_GENES = frozenset(
    (
        "stem_width", "depth", "width", "kernel_size", "squeeze_ratio", "bottleneck", "expansion", "growth_rate",
        "compression",
    )
)  # fmt: skip
"""Genes of which a smaller value is a slice of a larger one."""

_SHARES = tuple(step / 16 for step in range(16, -1, -1))


@dataclass(frozen=True)
class ElasticSpace:
    """Architectures of one family that share weights.

    Attributes:
        space: Search space that contains them.
        parameters: Parameters of one of its genomes; those that are not elastic hold for all architectures, and for
            the recipe of the shared training.
        share: Share of the range of each elastic gene, from its lowest value.
        image_size: Rows and columns of the images.
    """

    space: SearchSpace
    parameters: Mapping[str, Any]
    share: float = 1.0
    image_size: tuple[int, int] | None = None

    @classmethod
    def within(
        cls, space: SearchSpace, parameters: Mapping[str, Any], image_size: tuple[int, int] | None,
        fits: Callable[[Genome], bool],
    ) -> ElasticSpace:  # fmt: skip
        """Return the widest elastic space around a genome whose largest network is within a limit.

        Args:
            fits: Returns True for a genome within the limit.

        Raises:
            ArchitectureError: Not even the smallest network is within the limit.
        """
        for share in _SHARES:
            elastic = cls(space, parameters, share, image_size)
            if fits(elastic.largest):
                return elastic
        raise ArchitectureError("the smallest network of the elastic space is above the limit of parameters")

    @cached_property
    def genes(self) -> frozenset[str]:
        """Elastic genes; the kernel size is none with a whitened stem, whose fixed filters have one size."""
        genome = self.space.sample(GivenSuggester(self.parameters), self.image_size)
        is_whitened = searched_architecture(genome).whitened_stem
        return ELASTIC_GENES - {"kernel_size"} if is_whitened else ELASTIC_GENES

    def sample(self, suggester: Suggester) -> Genome:
        """Sample a genome; the suggester is asked for the elastic genes alone, within their limits."""
        elastic = ElasticSuggester(suggester, self.parameters, self.genes, self.share)
        return self.space.sample(elastic, self.image_size)

    def contains(self, parameters: Mapping[str, Any]) -> bool:
        """Return True if the network of a genome of the search space is a slice; its recipe may be another."""
        given = GivenSuggester(parameters)
        try:
            return self.sample(given).architecture == self.space.sample(given, self.image_size).architecture
        except KeyError:
            return False

    @cached_property
    def largest(self) -> Genome:
        """Genome with the highest value of each elastic gene."""
        return self.sample(QuantileSuggester(1.0))

    @cached_property
    def smallest(self) -> Genome:
        """Genome with the lowest value of each elastic gene."""
        return self.sample(QuantileSuggester(0.0))

    @property
    def kernel_sizes(self) -> tuple[int, ...]:
        """Kernel sizes below the largest, in pixels."""
        family = self.largest.family
        _, domain = self.space.architecture.domain("kernel_size", (family,))
        largest = searched_architecture(self.largest).kernel_size
        return tuple(size for size in domain.integer_values() if size < largest)

    def narrowed_architectures(self) -> Iterator[SearchedArchitecture]:
        """Yield the largest architecture with the lowest width of the stem or of one stage in turn.

        Neighbouring stages of equal width need no projection on a shortcut, narrower ones do.
        """
        for narrowed in ("stem_width", *(f"width_{stage}" for stage in range(1, 5))):
            yield searched_architecture(self.sample(QuantileSuggester(1.0, {narrowed: 0.0})))


class ElasticSuggester:
    """Suggester that fixes the parameters that are not elastic, and limits the others to a share of their range.

    Args:
        suggester: Suggester of the elastic parameters.
        parameters: Values of the others.
        genes: The elastic genes.
    """

    def __init__(
        self, suggester: Suggester, parameters: Mapping[str, Any], genes: frozenset[str], share: float
    ) -> None:
        self._suggester, self._parameters, self._genes, self._share = suggester, parameters, genes, share

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        if parameter_gene(name)[0] not in self._genes:
            return self._parameters[name]
        limit = Choices(tuple(choices)).quantile(self._share)
        return self._suggester.suggest_categorical(name, [choice for choice in choices if choice <= limit])

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        if parameter_gene(name)[0] not in self._genes:
            return int(self._parameters[name])
        limit = int(Range(low, high, step, log, integer=True).quantile(self._share))
        return self._suggester.suggest_int(name, low, limit, step=step, log=log)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if parameter_gene(name)[0] not in self._genes:
            return float(self._parameters[name])
        limit = float(Range(low, high, step, log, integer=False).quantile(self._share))
        return self._suggester.suggest_float(name, low, limit, step=step, log=log)


class QuantileSuggester:
    """Suggester of a quantile of each numeric domain.

    Args:
        share: The quantile.
        shares: Quantiles of some parameters, by the parameter's name without its family.
    """

    def __init__(self, share: float, shares: Mapping[str, float] | None = None) -> None:
        self._share, self._shares = share, shares or {}

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._quantile(name, Choices(tuple(choices)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._quantile(name, Range(low, high, step, log, integer=True)))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._quantile(name, Range(low, high, step, log, integer=False)))

    def _quantile(self, name: str, domain: Domain) -> Any:
        return domain.quantile(self._shares.get(name.rpartition(".")[2], self._share))


class GivenSuggester:
    """Suggester of given values by parameter name; raises KeyError for a value that was not given or is outside."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = parameters

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._checked(name, Choices(tuple(choices)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return int(self._checked(name, Range(low, high, step, log, integer=True)))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._checked(name, Range(low, high, step, log, integer=False)))

    def _checked(self, name: str, domain: Domain) -> Any:
        value = self._parameters[name]
        if not domain.contains(value):
            raise KeyError(name)
        return value


def searched_architecture(genome: Genome) -> SearchedArchitecture:
    """Return the architecture of a genome of a search space without pairs."""
    assert isinstance(genome.architecture, SearchedArchitecture), "elastic spaces have no pairs"
    return genome.architecture
