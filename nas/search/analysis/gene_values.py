"""What a genome is, gene by gene, and the options that divide trials into those with and those without."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nas.space.architecture import Architecture, PairArchitecture
from nas.space.gene_definitions import Scalar
from nas.space.genome import Genome

Traits = Mapping[str, Scalar]


def architecture_genes(architecture: Architecture) -> dict[str, Any]:
    """The genes in one table, of a pair network those of its branch with its own."""
    genes = architecture.model_dump()
    if not isinstance(architecture, PairArchitecture):
        return genes
    del genes["family"]
    return {**genes.pop("branch"), "siamese": genes.pop("shared"), **genes}


def gene_values(genome: Genome) -> Traits:
    """A genome's genes by name, with their section; a parameter stands below its option, as `recipe.loss.gamma`.

    Lists count as what they come to: `depth` is the number of blocks, `width` that of channels in the widest stage.
    Whether a pair network has auxiliary classifiers is the same as whether they have a weight.
    """
    genes = genome.model_dump(exclude_none=True)
    traits: dict[str, Scalar] = {}
    if isinstance(genome.architecture, PairArchitecture):
        genes["recipe"]["auxiliary_weight"] = genome.recipe.auxiliary_weight
    for gene, value in architecture_genes(genome.architecture).items():
        match gene:
            case "depths":
                traits |= {"architecture.num_stages": len(value), "architecture.depth": sum(value)}
            case "widths":
                traits["architecture.width"] = max(value)
            case "head_widths":
                traits["architecture.head_layers"] = len(value)
            case "comparison_widths":
                traits["architecture.comparison_width"] = max(value, default=0)
            case "auxiliary":
                pass
            case _:
                traits[f"architecture.{gene}"] = value
    for gene, value in genes["recipe"].items():
        if isinstance(value, dict):
            traits[f"recipe.{gene}"] = value.pop("name")
            traits |= {f"recipe.{gene}.{parameter}": setting for parameter, setting in value.items()}
        else:
            traits[f"recipe.{gene}"] = value
    return traits


@dataclass(frozen=True)
class Option:
    """A gene having one value, or a number on one side of a bound."""

    gene: str
    value: Scalar
    relation: Literal["is", "below", "at least"] = "is"

    def __str__(self) -> str:
        value = f"{self.value:.3g}" if isinstance(self.value, float) else str(self.value).lower()
        return value if self.relation == "is" else f"{self.relation} {value}"

    def held_by(self, traits: Traits) -> bool | None:
        """Whether a genome has it; None where the genome lacks the gene."""
        own = traits.get(self.gene)
        if own is None:
            return None
        match self.relation:
            case "is":
                return own == self.value
            case "below":
                return own < self.value  # type: ignore[operator]
            case "at least":
                return own >= self.value  # type: ignore[operator]


def options_among(genomes: Sequence[Traits]) -> list[Option]:
    """The options that some of the genomes have and others lack, gene by gene.

    A number of more than two values is divided at its median.
    """
    options = []
    for gene in dict.fromkeys(gene for traits in genomes for gene in traits):
        values = [traits[gene] for traits in genomes if gene in traits]
        distinct = sorted(set(values), key=lambda value: (str(type(value)), value))
        if len(distinct) < 2:
            continue
        if len(distinct) == 2 or not is_number(distinct[0]):
            options += [Option(gene, value) for value in distinct]
        else:
            # Where more than half have the smallest value, all others are on the other side.
            bound = max(statistics.median_high(values), distinct[1])
            options += [Option(gene, bound, "below"), Option(gene, bound, "at least")]
    return options


def is_number(value: Scalar) -> bool:
    """Whether values of the gene have an order and distances; Python counts booleans as integers."""
    return isinstance(value, int | float) and not isinstance(value, bool)
